"""Versions of the GUI that start the training in a shell, and numbers that JSON does not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from kohya_presets.errors import UserError
from kohya_presets.gui import export
from kohya_presets.gui.versions import words
from tests.kohya_presets.gui.test_gui_export import LORA
from tests.sheets import ADDITIONS


@pytest.mark.parametrize("tag", ["v22.3.0", "v23.0.15", "v23.1.5"])
@pytest.mark.parametrize("part", ["`id`", "$(id)", "$HOME", 'a"b', "a\\b", "a\nb"])
def test_a_path_that_a_shell_would_read_is_refused(tag: str, part: str) -> None:
    with pytest.raises(UserError, match="starts the training in a shell") as caught:
        export.export(LORA, tag, ADDITIONS, dataset_config=Path("/data") / part / "d.toml")
    assert "Use a folder without it" in str(caught.value.hint)


def test_a_path_without_such_signs_is_not() -> None:
    file = Path("/data/it's my (1) & 50% #.toml")
    made = export.export(LORA, "v22.3.0", ADDITIONS, dataset_config=file)
    assert made.values["additional_parameters"] == f'--dataset_config="{file}"'
    odd = Path("/data/`id`/d.toml")  # no shell from v24 on
    assert export.export(LORA, "v24.1.7", ADDITIONS, dataset_config=odd)


def test_windows_has_signs_of_its_own() -> None:
    good = PureWindowsPath(r"C:\my data\$x`y.toml")
    assert words.of_path("dataset_config", good) == f'--dataset_config="{good}"'
    with pytest.raises(UserError, match="shell"):
        words.of_path("dataset_config", PureWindowsPath(r"C:\%TEMP%\d.toml"))


def test_a_value_that_a_shell_would_read_is_not_put_into_a_field() -> None:
    preset = replace(LORA, train={**LORA.train, "lr_scheduler_type": "`id`"})
    preset = replace(preset, dataset={**LORA.dataset, "caption_extension": ".`id`"})
    made = export.export(preset, "v22.3.0", ADDITIONS)
    fields = {k: v for k, v in made.values.items() if k != "kohya_presets"}
    assert "`" not in str(fields)
    lost = {item.what for item in made.report if item.kind == "lost"}
    assert {"train.lr_scheduler_type", "dataset.caption_extension"} <= lost


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        ("train", {"learning_rate": float("inf")}),
        ("train", {"lr_warmup_steps": float("nan")}),
        ("train", {"text_encoder_lr": [1e-5, float("inf")]}),
        ("extract", {"min_diff": float("-inf")}),
    ],
)
def test_a_number_that_json_does_not_have_is_refused(table: str, setting: dict[str, Any]) -> None:
    preset = replace(LORA, **{table: {**(LORA.tables.get(table) or {}), **setting}})
    with pytest.raises(UserError, match=rf"cannot export {table}\.{next(iter(setting))} = ") as e:
        export.export(preset, "v26.0.0", ADDITIONS)
    assert f"--set {table}.{next(iter(setting))}=VALUE" in str(e.value.hint)
