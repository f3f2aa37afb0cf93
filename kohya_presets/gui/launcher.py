"""The fields of accelerate's launcher: how many GPUs train, which a preset says in [run]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kohya_presets.gui import meaning
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import values
from kohya_presets.gui.versions.fields import Tab
from kohya_presets.presets.preset import Preset

PROCESSES, SEVERAL = "num_processes", "multi_gpu"
MACHINE = ("num_machines", "gpu_ids", "main_process_port")  # of one computer or network
FIELDS = (PROCESSES, SEVERAL, *MACHINE)


def run(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table [run] of a preset, from the fields of a file; None for one GPU."""
    gpus = _gpus(found)
    return {"gpus": gpus} if gpus > 1 else None


def told(name: str, value: Any, found: Mapping[str, Any]) -> Item | None:
    """Return what became of a field of the launcher; None for another, or one that says nothing."""
    count = _gpus(found)
    if name == PROCESSES and count > 1:
        return Item("converted", name, f"run.gpus = {count}")
    if name == SEVERAL and value and count > 1:
        return Item("converted", name, f"run.gpus = {count} implies it")
    if name in MACHINE and value not in ("", 0, 1, "0", "1", None):
        return Item("dropped", name, meaning.PLACE)
    return None


def fill(tab: Tab, made: dict[str, Any], preset: Preset) -> list[Item]:
    """Set the fields, where the preset is for several GPUs; return what became of that."""
    if preset.gpus <= 1:
        return []
    if PROCESSES not in tab.fields:
        return [Item("lost", "run.gpus", f"GUI {tab.tag} has no field for it")]
    made |= {PROCESSES: preset.gpus, SEVERAL: True}
    return [Item("converted", "run.gpus", f"to {PROCESSES} = {preset.gpus} and {SEVERAL}")]


def _gpus(found: Mapping[str, Any]) -> int:
    return max(1, int(values.number(found.get(PROCESSES)) or 1))
