"""A warm-up in percent: each version of the GUI takes and sends it in a way of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.gui import export, read
from kohya_presets.gui.export import Exported
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import options
from tests.kohya_presets.gui.test_gui_export import LORA
from tests.sheets import ADDITIONS

COUNTING = ("v22.3.0", "v23.1.5", "v24.1.7")  # their sd-scripts take whole steps only
DATA = Path("/d.toml")


def warming(steps: float, **length: int) -> Preset:
    train = {k: v for k, v in LORA.train.items() if k != "max_train_epochs"}
    train |= {"lr_scheduler": "cosine", "lr_warmup_steps": steps, **length}
    return replace(LORA, train=train)


def lost(made: Exported) -> dict[str, str]:
    told = {item.what: item.why for item in made.report if item.kind == "lost"}
    return {key: why for key, why in told.items() if key != "dataset.num_repeats"}


@pytest.mark.parametrize("tag", COUNTING)
def test_a_share_of_epochs_goes_into_the_field_that_counts_them(tag: str) -> None:
    made = export.export(warming(0.1, max_train_epochs=10), tag, ADDITIONS)
    assert (made.values["lr_warmup"], made.values["epoch"]) == (10, 10)
    assert "lr_warmup" not in made.values["additional_parameters"]
    assert lost(made) == {}


@pytest.mark.parametrize("tag", COUNTING)
def test_a_share_of_steps_goes_as_steps(tag: str) -> None:
    made = export.export(warming(0.1, max_train_steps=500), tag, ADDITIONS, dataset_config=DATA)
    assert "--lr_warmup_steps=50" in made.values["additional_parameters"]
    assert lost(made) == {}


def test_a_share_that_a_version_cannot_count_is_reported() -> None:
    preset = warming(0.1, max_train_epochs=10)
    made = export.export(preset, "v24.1.7", ADDITIONS, dataset_config=DATA)
    assert "lr_warmup" not in made.values["additional_parameters"]
    assert "--set train.lr_warmup_steps=NUMBER" in lost(made)["train.lr_warmup_steps"]
    part = export.export(warming(0.125, max_train_epochs=10), "v22.3.0", ADDITIONS)
    assert "whole percent" in lost(part)["train.lr_warmup_steps"]


@pytest.mark.parametrize("tag", ["v25.2.1", "v26.0.0"])
def test_steps_beside_a_dataset_config_go_as_words_where_the_field_is_not_looked_at(
    tag: str,
) -> None:
    preset = warming(30, max_train_epochs=10)
    made = export.export(preset, tag, ADDITIONS, dataset_config=DATA)
    assert made.values["additional_parameters"] == "--lr_warmup_steps=30"
    assert export.export(preset, tag, ADDITIONS).values["additional_parameters"] == ""


@pytest.mark.parametrize(
    ("train", "name"),
    [
        ({"lr_warmup_steps": 0.1, "lr_scheduler": "cosine", "max_train_epochs": 3}, "lr_warmup"),
        ({"text_encoder_lr": [1e-5, 2e-5]}, "text_encoder_lr"),
        ({"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 0.2}, "lr_decay_steps"),
    ],
)
@pytest.mark.parametrize("tag", COUNTING)
def test_no_word_is_written_that_the_versions_own_sd_scripts_refuse(
    tag: str, train: dict[str, Any], name: str
) -> None:
    made = export.export(replace(LORA, train={**LORA.train, **train}), tag, ADDITIONS)
    assert name not in made.values["additional_parameters"]
    known = options.of(made.tab.script, made.tab.release)
    assert name not in known or options.check(known[name], train[name])


@pytest.mark.parametrize(
    ("values", "warmup", "releases"),
    [
        ({"epoch": 10}, 0.1, ">=0.9.0"),
        ({"epoch": 10, "max_train_epochs": 20}, 0.05, ">=0.9.0"),  # counted from the 10
        ({"max_train_steps": 1600}, 160, ">=0.7.0"),
        ({"epoch": 10, "dataset_config": "/d.toml"}, None, ">=0.7.0"),
    ],
)
def test_a_file_means_the_steps_that_its_version_sends(
    values: dict[str, Any], warmup: float | None, releases: str
) -> None:
    made = export.export(LORA, "v24.1.7", ADDITIONS).values
    plain = {k: v for k, v in made.items() if k != "kohya_presets"}
    plain |= {"lr_scheduler": "cosine", "lr_warmup": 10, "max_train_epochs": 0, **values}
    found = read.json_file(json.dumps(plain).encode(), "x", ADDITIONS).preset
    assert found.train.get("lr_warmup_steps") == warmup
    assert found.releases == releases


def test_a_percentage_goes_out_as_it_came_in() -> None:
    saved = {"LoRA_type": "Standard", "sdxl": True, "lr_scheduler": "cosine", "lr_warmup": 10}
    saved |= {"epoch": 10, "text_encoder_lr": 5e-5, "unet_lr": 1e-4, "network_dim": 16}
    found = read.json_file(json.dumps(saved).encode(), "x", ADDITIONS).preset
    assert found.releases == ">=0.9.0"
    for tag in (*COUNTING, "v25.2.1", "v26.0.0"):
        made = export.export(found, tag, ADDITIONS)
        assert (made.values["lr_warmup"], made.values["text_encoder_lr"]) == (10, 5e-5)
        assert made.values["additional_parameters"] == ""
        assert lost(made) == {}
