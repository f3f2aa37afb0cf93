"""Finished stages whose files are missing: what runs again, and what is never begun unasked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from tests.wrapper.runs import faked
from tests.wrapper.runs.faked import Heard
from tests.wrapper.runs.killing import STAGES, states
from wrapper.runs import manifest, runner
from wrapper.runs.kept import gone
from wrapper.runs.manifest import Run

ONCE = Counter(STAGES)
STATE = {"format": 1, "step": 9, "epoch": 2, "bytes": 9, "seconds": 1.5, "saved": 1}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a finished run."""
    folder = (tmp_path / "my runs ü" / "korra").resolve()
    runner.carry_out(faked.new(folder), Heard(folder))
    return manifest.read(folder)


def lost(run: Run, *names: str) -> Run:
    """Return the run without the files of these stages."""
    for name in names:
        run.stage(name).output.unlink()
    return manifest.read(run.folder)


def test_a_model_that_no_later_stage_needs_may_be_deleted(run: Run) -> None:
    heard = Heard(run.folder)
    assert runner.carry_out(lost(run, "miniature", "train", "extract"), heard) is not None
    assert faked.starts(run.folder) == ONCE
    assert any(line.startswith("train: already done (korra.safet") for line in heard.said)
    assert any("is missing, but no later stage needs it" in line for line in heard.said)


def test_a_finished_training_is_not_begun_again_unasked(run: Run) -> None:
    run = lost(run, "train", "extract", "resize")
    with pytest.raises(UserError, match="is missing") as caught:
        runner.carry_out(run, Heard(run.folder))
    assert str(run.stage("train").output) in str(caught.value)
    assert "begin at step 0" in str(caught.value)
    assert "run again: extract and resize" in str(caught.value)
    assert "--train-again" in (caught.value.hint or "")
    assert faked.starts(run.folder) == ONCE
    assert states(run.folder) == dict.fromkeys(STAGES, "done")


def test_the_state_it_would_go_on_from_is_named(run: Run) -> None:
    run = lost(run, "train", "resize", "extract")
    train = run.stage("train")
    run = run.with_stage(replace(train, makes=train.output))
    run = replace(run, facts={"sd-scripts": {"patches": ["resume"]}})
    (state := run.folder / "states" / "step00000009").mkdir(parents=True)
    (state / "kp_resume.json").write_text(json.dumps(STATE), "utf-8")
    with pytest.raises(UserError, match=r"would go on after step 9 .*states/step00000009"):
        gone.require_asked(run)


def test_asked_for_it_runs_and_the_stages_after_it_too(run: Run) -> None:
    before = run.product.read_bytes()
    (run.folder / "lora" / "korra-dim4.safetensors").write_bytes(b"of another rank")
    (run.folder / "lora" / "korra-000001.safetensors").write_bytes(b"of an epoch")
    run = lost(run, "train", "extract")
    run = run.with_stage(replace(run.stage("extract"), state="planned"))  # it is to be made
    heard = Heard(run.folder)
    runner.carry_out(gone.require_asked(run, again=True), heard)
    assert faked.starts(run.folder) == ONCE + Counter(("train", "extract", "resize"))
    earlier = run.folder / "lora-earlier"
    assert (earlier / "korra.safetensors").read_bytes() == before
    assert (earlier / "korra-dim4.safetensors").is_file()
    assert (run.folder / "lora" / "korra-000001.safetensors").is_file()
    assert any("resize: it runs again, after train" in line for line in heard.said)
    assert states(run.folder) == dict.fromkeys(STAGES, "done")


def test_a_training_that_is_there_is_not_repeated(run: Run) -> None:
    with pytest.raises(UserError, match="only for a finished training"):
        gone.require_asked(run, again=True)


def test_a_stage_of_minutes_says_why_it_runs_again(run: Run) -> None:
    heard = Heard(run.folder)
    runner.carry_out(lost(run, "resize"), heard)
    assert "resize: it runs again, because korra.safetensors is missing" in heard.said
    assert faked.starts(run.folder) == ONCE + Counter(["resize"])
