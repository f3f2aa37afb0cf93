"""Several GPUs in the GUI's files: they stay, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kohya_presets.gui import export, read
from kohya_presets.gui.imported import Imported
from kohya_presets.gui.versions import fields
from kohya_presets.presets.catalogue import Catalogue
from patches import registry

ADDITIONS = registry.additions(None)
NEWEST = fields.tags()[-1]


def imported(values: dict[str, Any]) -> Imported:
    return read.json_file(json.dumps(values).encode("utf-8"), "x", ADDITIONS)


def exported(shipped: Catalogue, name: str, tag: str, *overrides: str) -> dict[str, Any]:
    preset = shipped.load(name, overrides=overrides)
    return dict(export.export(preset, tag, ADDITIONS).values)


@pytest.mark.parametrize("tag", fields.tags())
def test_they_come_back_from_every_version(shipped: Catalogue, tag: str) -> None:
    preset = shipped.load("skynet", overrides=["run.gpus=2", "run.keep=loras"])
    made = export.export(preset, tag, ADDITIONS)
    if "num_processes" in made.tab.fields:
        assert (made.values["num_processes"], made.values["multi_gpu"]) == (2, True)
    else:
        assert any(item.kind == "lost" and item.what == "run.gpus" for item in made.report)
    back = imported(dict(made.values)).preset
    assert (back.gpus, back.keep) == (2, "loras")


@pytest.mark.parametrize("name", ["skynet", "lion"])
def test_a_file_that_somebody_saved_keeps_them(shipped: Catalogue, name: str) -> None:
    values = exported(shipped, name, NEWEST)
    values = {key: value for key, value in values.items() if key != "kohya_presets"}
    values |= {"num_processes": 4, "multi_gpu": True, "gpu_ids": "0,1,2,3"}
    found = imported(values)
    assert found.preset.gpus == 4
    told = {item.what: (item.kind, item.why) for item in found.report}
    assert told["num_processes"] == ("converted", "run.gpus = 4")
    assert told["multi_gpu"] == ("converted", "run.gpus = 4 implies it")
    assert told["gpu_ids"][0] == "dropped"
    again = export.export(found.preset, NEWEST, ADDITIONS).values
    assert (again["num_processes"], again["multi_gpu"]) == (4, True)


def test_a_later_change_in_the_gui_counts(shipped: Catalogue) -> None:
    values = {**exported(shipped, "skynet", NEWEST), "num_processes": 2, "multi_gpu": True}
    found = imported(values)
    assert found.preset.gpus == 2
    assert any(item.what == "run.gpus" and item.kind == "note" for item in found.report)


def test_one_gpu_writes_no_table(shipped: Catalogue) -> None:
    values = exported(shipped, "skynet", NEWEST)
    assert (values["num_processes"], values["multi_gpu"]) == (1, False)
    assert imported(values).preset.run is None
