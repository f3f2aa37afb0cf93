"""The disk that a run needs: every model, state and LoRA that its settings really leave there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from kohya_presets.loras import weights
from kohya_presets.memory import saved
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.training import settings
from kohya_presets.training.settings import Settings
from patches import registry
from tests import tensors
from wrapper.planning import disk
from wrapper.planning.disk import Written

# fp16: 4440 numbers of the model; of the LoRA 64 x 64 at its full rank, then at 16.
MODEL = 2 * (8 + 8 + 64 + 64 * 64 + 216)
LORAS = [Written("LoRA", 1, 2 * 64 * 128), Written("LoRA", 1, 2 * 16 * 128)]


def planned(
    shipped: Catalogue, tmp_path: Path, *overrides: str, patches: tuple[str, ...] = ()
) -> tuple[list[Written], Settings]:
    base = tensors.write(tmp_path / "a.safetensors", tensors.SDXL)
    preset = replace(shipped.load("skynet", overrides=overrides), patches=patches)
    known = settings.of_preset(preset, "v0.10.1", registry.additions())
    return disk.plan(preset, known, weights.read(base)), known


def test_the_last_model_and_both_loras(shipped: Catalogue, tmp_path: Path) -> None:
    found, _ = planned(shipped, tmp_path)
    assert found == [Written("model", 1, MODEL), *LORAS]
    assert disk.total(found) == MODEL + 2 * 64 * 128 + 2 * 16 * 128


@pytest.mark.parametrize(
    ("given", "models", "loras"),
    [
        ({"save_every_n_epochs": 1}, 3, 99),  # two wait for extraction at most, and the last one
        ({"save_every_n_epochs": 50}, 2, 1),
        ({"save_every_n_epochs": 10, "enable_ema": True}, 5, 18),  # each is two files
        ({}, 1, 0),
    ],
)
def test_with_loras_kept_models_are_those_that_wait_for_extraction(
    given: dict[str, object], models: int, loras: int, shipped: Catalogue, tmp_path: Path
) -> None:
    words = [f"train.{key}={str(value).lower()}" for key, value in given.items()]
    base = tensors.write(tmp_path / "a.safetensors", tensors.SDXL)
    preset = shipped.load("skynet", overrides=words)
    preset = replace(preset, patches=("ema",), run={"keep": "loras"})
    known = settings.of_preset(preset, "v0.10.1", registry.additions())

    def at(done: float) -> list[Written]:
        return disk.plan(preset, known, weights.read(base), done=done)

    kept = [Written("LoRA", loras, LORAS[1].each)] if loras else []
    assert at(1.0) == [Written("model", models, MODEL), *LORAS, *kept]
    if loras > 1:
        half = at(0.5)
        twice = 2 if "enable_ema" in given else 1
        assert half[0] == Written("model", models - twice, MODEL)
        assert half[1].each == LORAS[0].each  # which is resized next
        assert loras // 2 - 1 <= half[2].count <= loras // 2 + 1


@pytest.mark.parametrize(
    ("given", "models"),
    [
        ({"save_every_n_epochs": 1}, 100),  # of 100 epochs; the last one is the final model
        ({"save_every_n_epochs": 1, "save_last_n_epochs": 1}, 2),  # 694 GB, it once said
        ({"save_every_n_epochs": 30}, 4),
        ({"save_every_n_steps": 500}, 4),  # 20 images, one repeat: 2000 steps
        ({"save_every_n_steps": 100, "save_last_n_steps": 200}, 4),
        ({"save_every_n_epochs": 50, "enable_ema": True}, 4),
        ({"save_every_n_epochs": 50, "enable_ema": True, "ema_save_only_ema_weights": True}, 2),
    ],
)
def test_models_are_counted_as_sd_scripts_keeps_them(
    given: dict[str, object], models: int, shipped: Catalogue, tmp_path: Path
) -> None:
    words = [f"train.{key}={str(value).lower()}" for key, value in given.items()]
    found, _ = planned(shipped, tmp_path, *words, patches=("ema",))
    assert found[0] == Written("model", models, MODEL)


@pytest.mark.parametrize(
    ("given", "states"),
    [
        ((), 3),  # two are kept, and the next is written before one goes
        (("train.state_keep=4",), 5),
        (("train.state_every_minutes=0",), 0),
        (("train.save_state=true", "train.save_every_n_epochs=50"), 5),
        (("train.save_state_on_train_end=true",), 4),
    ],
)
def test_states_are_counted_and_of_their_true_size(
    given: tuple[str, ...], states: int, shipped: Catalogue, tmp_path: Path
) -> None:
    found, known = planned(shipped, tmp_path, *given, patches=("resume",))
    size = saved.state_bytes(known)
    assert size
    wanted = [Written("state", states, size)] if states else []
    assert [written for written in found if written.what == "state"] == wanted


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(("missing", "expected"), [(0, []), (1, [("disk", "error")])])
def test_the_disk_must_have_room_for_all_of_it(
    missing: int,
    expected: list[tuple[str, str]],
    shipped: Catalogue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = planned(shipped, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(disk.total(found) - missing))
    said = disk.problems(found, tmp_path / "runs" / "new")
    assert [(problem.code, problem.severity) for problem in said] == expected


@pytest.mark.parametrize(
    ("states", "keep", "every"), [(3, None, None), (2, 1, None), (1, None, 0.0), (0, None, 0.0)]
)
def test_a_run_keeps_as_many_states_as_fit(
    states: int, keep: int | None, every: float | None, shipped: Catalogue, tmp_path: Path
) -> None:
    base = weights.read(tensors.write(tmp_path / "a.safetensors", tensors.SDXL))
    preset = replace(shipped.load("skynet"), patches=("resume",))
    known = settings.of_preset(preset, "v0.10.1", registry.additions())
    state = saved.state_bytes(known)
    assert state
    has = states * state + 10**6  # and room for the rest

    def room(tried: Preset) -> bool:
        known = settings.of_preset(tried, "v0.10.1", registry.additions())
        return disk.total(disk.plan(tried, known, base)) <= has

    made, said = disk.fewer_states(preset, room)
    assert made.train.get("state_keep") == keep
    assert made.train.get("state_every_minutes") == every
    assert bool(said) == (made != preset)
    asked = replace(preset, train={**preset.train, "state_keep": 2})
    assert disk.fewer_states(asked, room) == (asked, "")
