"""`plan` from end to end, on images that the test makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kohya_presets.errors import PresetError, ProblemsError, UserError
from tests import tensors
from tests.wrapper.cli.test_cli import run
from tests.wrapper.renting import pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return pictures.folder(tmp_path)


def asked(*words: str | Path) -> dict[str, object]:
    found = json.loads(run("plan", *words, "--json").stdout)
    assert isinstance(found, dict)
    return found


def test_it_says_steps_as_dataset_check_counts_them(data: Path) -> None:
    found = asked("a6000", "--data", data)
    checked = json.loads(run("dataset", "check", "a6000", "--data", data, "--json").stdout)
    assert found["steps"] == checked["steps"] == 200
    assert found["steps_per_epoch"] == checked["steps_per_epoch"] == 2  # 6 pictures, 3 at a time
    assert (found["images"], found["repeats"], found["pictures_per_epoch"]) == (3, [2], 6)
    assert asked("a6000", "--data", data, "--gpus", "2")["steps"] == 100


def test_hours_are_unknown_without_a_figure_and_told_with_a_pace(data: Path) -> None:
    done = run("plan", "skynet", "--data", data)
    assert "H100 80GB      79.1 GiB  large enough; hours unknown" in done.stdout
    assert (
        "No figure is known for sdxl_train.py, fp16, 1024 x 1024, batch size 1, no " in done.stdout
    )
    found = asked("skynet", "--data", data, "--pace", "0.5", "--rate", "2")
    assert (found["hours"], found["cost"]) == (0.17, 0.33)
    assert all(one["hours"] is None for one in found["offers"])  # type: ignore[attr-defined]


def test_a_measured_pace_is_told_with_its_source(data: Path) -> None:
    words = ("--set", "train.full_bf16=true", "--set", "dataset.batch_size=4")
    words += ("--set", "train.mixed_precision=bf16", "--rate", "3")
    words += ("--set", "train.cache_latents=true", "--set", "dataset.random_crop=false")
    words += ("--set", "train.sdpa=true")
    found = asked("skynet", "--data", data, *words)
    h100 = next(o for o in found["offers"] if o["gpu"] == "H100 80GB")  # type: ignore[attr-defined]
    assert h100["hours"] == round(100 / 0.787 / 3600, 2)
    assert h100["source"].endswith("/1434")
    assert "(2024-07-19, https://" in run("plan", "skynet", "--data", data, *words).stdout


def test_gpus_that_are_too_small_are_said(data: Path) -> None:
    offers = {one["gpu"]: one["fits"] for one in asked("lion", "--data", data)["offers"]}  # type: ignore[attr-defined]
    assert offers["RTX 4090"] is False
    assert offers["RTX A6000"] is True


def test_the_disk_grows_with_what_is_saved_on_the_way(data: Path) -> None:
    words = ("--set", "train.save_every_n_epochs=25", "--set", "train.state_every_minutes=0")
    found = asked("skynet", "--data", data, *words)
    sizes = [one["bytes"] for one in found["disk_over_time"]]  # type: ignore[attr-defined]
    model = 2 * 3_468_837_867
    assert sizes[:4] == [sizes[0] + model * saved for saved in range(4)]
    assert sizes[-1] > sizes[-2] + model  # the last one, and its LoRAs
    assert found["disk"] == sizes[-1]


def test_a_base_model_that_is_here_is_measured(data: Path, tmp_path: Path) -> None:
    base = tensors.write(tmp_path / "base.safetensors", tensors.SDXL)
    small = asked("skynet", "--data", data, "--base", base)
    assert small["disk"] < asked("skynet", "--data", data)["disk"]  # type: ignore[operator]


def test_what_stops_a_training_stops_the_plan(data: Path, tmp_path: Path) -> None:
    (data / "korra 0 é.txt").write_bytes(b"")
    with pytest.raises(ProblemsError, match="my pictures ü"):
        run("plan", "skynet", "--data", data)
    with pytest.raises(PresetError):
        run("plan", "skynet", "--data", data, "--set", "train.learning_rat=1")
    with pytest.raises(UserError):
        run("plan", "skynet", "--data", tmp_path / "nowhere")
