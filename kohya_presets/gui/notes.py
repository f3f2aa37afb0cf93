"""Settings without a GUI field, kept under a key that every version of the GUI ignores.

The GUI writes only its own keys, so a file that it saves again loses these notes.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kohya_presets.presets import preset as presets
from kohya_presets.presets.preset import Preset

KEY = "kohya_presets"


@dataclass(frozen=True)
class Notes:
    """The preset that a file was made from, and the version of the GUI it is for."""

    preset: Preset
    tag: str
    data: bool  # a dataset config beside the file had the dataset's settings


def of(preset: Preset, tag: str, *, data: bool) -> dict[str, Any]:
    """Return the notes as JSON has them."""
    head = presets.header(preset)
    if isinstance(date := head.get("date"), datetime.date):
        head["date"] = date.isoformat()
    tables = {name: dict(table) for name, table in preset.tables.items()}
    reasons = {"provenance": dict(preset.provenance)} if preset.provenance else {}
    version = {"schema": presets.SCHEMA, "gui": tag, "data": data}
    return {**version, "preset": head, **tables, **reasons}


def not_in_json(preset: Preset) -> str | None:
    """Return the first setting, as "table.key = value", that JSON cannot hold; else None."""
    for name, table in preset.tables.items():
        for key, value in table.items():
            every = value if isinstance(value, list) else [value]
            if any(isinstance(item, float) and not math.isfinite(item) for item in every):
                return f"{name}.{key} = {value}"
    return None


def read(values: Any) -> Notes | None:
    """Return the notes that `of` wrote; None if there are none, or others."""
    if not isinstance(values, Mapping) or values.get("schema") != presets.SCHEMA:
        return None
    tables = {name: values.get(name) for name in (*presets.SETTINGS, "provenance", "preset")}
    if any(not isinstance(table, dict) for table in tables.values() if table is not None):
        return None
    head, date = _head(tables["preset"] or {})
    if not presets.is_complete(head) or not isinstance(values.get("gui"), str):
        return None
    made = Preset(
        name=head["name"],
        title=head["title"],
        summary=head["summary"],
        script=head["script"],
        releases=head["releases"],
        date=date,
        vram_gib=head.get("vram_gib"),
        patches=tuple(head.get("patches", ())),
        silence=tuple(head.get("silence", ())),
        train=tables["train"] or {},
        dataset=tables["dataset"] or {},
        extract=tables["extract"],
        resize=tables["resize"],
        run=tables["run"],
        samples=tables["samples"],
        provenance={k: v for k, v in (tables["provenance"] or {}).items() if isinstance(v, str)},
    )
    return Notes(made, str(values["gui"]), values.get("data") is True)


def merged(read_: Preset, noted: Preset, expected: Preset) -> tuple[Preset, list[str]]:
    """Return the noted preset with later changes, and the names of the changed settings.

    `expected` is the import of the noted preset's own export: where the file says the same, the
    noted preset's value is kept.
    """
    changed: list[str] = []
    tables: dict[str, dict[str, Any]] = {}
    for name in ("train", "dataset"):
        now, was = read_.tables[name], expected.tables[name]
        table = dict(noted.tables[name])
        for key in sorted({*now, *was}):
            if now.get(key) == was.get(key):
                continue
            changed.append(f"{name}.{key}")
            table.pop(key, None)
            if key in now:
                table[key] = now[key]
        tables[name] = table
    run = noted.run
    if read_.gpus != expected.gpus:
        changed.append("run.gpus")
        run = {**(run or {}), "gpus": read_.gpus}
    reasons = {key: why for key, why in noted.provenance.items() if key not in changed}
    patches = tuple(dict.fromkeys((*noted.patches, *read_.patches)))
    made = replace(
        noted,
        train=tables["train"],
        dataset=tables["dataset"],
        run=run,
        provenance=reasons,
        patches=patches,
    )
    return made, changed


def _head(values: Mapping[str, Any]) -> tuple[dict[str, Any], datetime.date | None]:
    head = dict(values)
    if "date" not in head:
        return head, None
    try:
        head["date"] = datetime.date.fromisoformat(head["date"])
    except (TypeError, ValueError):
        del head["date"]
    return head, head.get("date")
