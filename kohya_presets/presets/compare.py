"""What differs between two presets, setting by setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kohya_presets.presets.preset import SETTINGS, Preset
from kohya_presets.toml import text as toml_text


@dataclass(frozen=True)
class Difference:
    """One setting that is not the same; None stands for "not set"."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.old is None:
            return f"+ {self.key} = {toml_text.value_text(self.new)}"
        if self.new is None:
            return f"- {self.key} = {toml_text.value_text(self.old)}"
        old, new = map(toml_text.value_text, (self.old, self.new))
        return f"~ {self.key} = {old} -> {new}"


def presets(old: Preset, new: Preset) -> Iterator[Difference]:
    """Yield the settings that differ, in the order of the tables, then those only `new` has."""
    before, after = _flat(old), _flat(new)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield Difference(key, before.get(key), after.get(key))


def _flat(preset: Preset) -> dict[str, Any]:
    settings: dict[str, Any] = {"preset.script": preset.script, "preset.releases": preset.releases}
    settings |= {"preset.patches": list(preset.patches), "preset.vram_gib": preset.vram_gib}
    for table in SETTINGS:
        for key, value in preset.tables.get(table, {}).items():
            settings[f"{table}.{key}"] = value
    return settings
