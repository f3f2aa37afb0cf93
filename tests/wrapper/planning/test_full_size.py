"""A rehearsal at true size says what it takes, and is refused where that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.memory import estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import releases
from kohya_presets.training import settings
from kohya_presets.training.settings import Settings
from patches import registry
from tests.wrapper.reports import made_runs
from wrapper.planning import disk
from wrapper.planning.memory import full_size
from wrapper.rehearsal import adapt
from wrapper.runs import proof
from wrapper.screen.talk import Talk
from wrapper.watching import kernel

GIB = 2**30


def known(shipped: Catalogue, name: str, *overrides: str) -> Settings:
    additions = registry.additions(None)
    return settings.of_preset(shipped.load(name, overrides=overrides), releases.DEFAULT, additions)


def test_precision_stays_where_a_cpu_has_it_and_only_training_is_left(shipped: Catalogue) -> None:
    adapted, changes = adapt.adapt(shipped.load("hal"), 3, full_size=True)
    assert adapted.train["full_bf16"] is True
    assert adapted.train["mixed_precision"] == "bf16"
    assert adapted.train["max_train_epochs"] == 1
    assert (adapted.extract, adapted.resize) == (None, None)
    assert "[extract]" in {change.key for change in changes}
    plain, _ = adapt.adapt(shipped.load("skynet"), 3, full_size=True)
    assert plain.train["mixed_precision"] == "no"
    half = shipped.load("skynet", overrides=["train.full_fp16=true"])
    told = adapt.adapt(half, 3, full_size=True)[0].train
    assert (told.get("full_fp16"), told["full_bf16"], told["mixed_precision"]) == (
        *(None, True, "bf16"),
    )


def test_too_little_memory_or_disk_is_an_error_before_anything_is_made(
    shipped: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, made = shipped.load("hal"), known(shipped, "hal")

    def memory(gib: float) -> None:
        def look(lowest: kernel.Lowest) -> None:
            lowest.bytes = round(gib * GIB)

        monkeypatch.setattr(kernel.Lowest, "look", look)

    monkeypatch.setattr(disk, "free", lambda _: 2**50)
    memory(12)
    with pytest.raises(UserError, match="not enough memory"):
        full_size.require_room(preset, made, tmp_path, Talk())
    memory(20)
    found = full_size.require_room(preset, made, tmp_path, Talk())
    assert found is not None
    assert found.total < 22.5 * GIB
    monkeypatch.setattr(disk, "free", lambda _: 10**9)
    with pytest.raises(UserError, match="not enough disk"):
        full_size.require_room(preset, made, tmp_path, Talk())


def test_our_presets_fit_into_what_they_are_made_for(shipped: Catalogue) -> None:
    for name, most in (("hal", 22.5), ("marvin", 15.0)):
        found = estimate.of(known(shipped, name))
        assert found is not None
        assert found.total < most * GIB, name


def test_what_was_held_is_told_beside_the_estimate(shipped: Catalogue, tmp_path: Path) -> None:
    run = made_runs.done(tmp_path / "run")
    (run.folder / "observed").mkdir()
    told = {
        "weights": {"U-Net": 5 * GIB, "text encoder 1": GIB // 4},
        "optimizer state": 6 * GIB,
        "gradients": GIB // 8,
        "process": 15 * GIB,
    }
    (run.folder / "observed" / proof.MEMORY).write_text(json.dumps(told), "utf-8")
    found = estimate.of(known(shipped, "hal"))
    made = proof.Proof()
    proof.memory(made, run, found)
    assert made.proved[0] == "weights: 5.25 GiB at most (estimate 6.31 GiB)"
    assert made.proved[-1] == "the training process took 15.00 GiB at most"
    missing = proof.Proof()
    (run.folder / "observed" / proof.MEMORY).unlink()
    proof.memory(missing, run, found)
    assert missing.missed == ["memory: it was not measured"]
