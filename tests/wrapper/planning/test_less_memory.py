"""`--oom retry`: the smallest change, in the run's own files, and recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kohya_presets.presets.catalogue import Catalogue
from tests.wrapper.runs.faked import Heard
from wrapper.planning import again
from wrapper.planning.memory import less_memory
from wrapper.runs import manifest
from wrapper.runs.attempt import StageError
from wrapper.runs.manifest import Run
from wrapper.watching.findings import Stop


def failed(code: str = "gpu-memory", stage: str = "train") -> StageError:
    return StageError("train stopped", hint=None, stage=stage, why=Stop(code, "no memory"))


def test_the_smallest_change_is_made_in_the_runs_files_and_recorded(run: Run) -> None:
    heard = Heard(run.folder)
    manifest.write(run.with_stage(replace(run.stages[0], state="failed")))
    changed = less_memory.planned(run, failed(), heard)
    assert changed is not None
    preset = Catalogue(()).load(str(run.folder / "preset.toml"))
    assert preset.train["gradient_checkpointing"] is True
    assert "gradient_checkpointing = true" in (run.folder / "config.toml").read_text("utf-8")
    assert changed.stages[0].state == "planned"
    assert "gradient_checkpointing" in changed.facts["less-memory"]["1"]
    assert any("GPU memory did not suffice" in line for line in heard.said)
    assert again.ready(run.folder) == changed  # and it is this run that is continued


def test_one_after_the_other_until_nothing_is_left(run: Run) -> None:
    heard, changed, count = Heard(run.folder), run, 0
    while (found := less_memory.planned(changed, failed(), heard)) is not None:
        changed, count = found, count + 1
    assert count >= 3
    assert [*changed.facts["less-memory"]] == [str(n + 1) for n in range(count)]
    preset = Catalogue(()).load(str(run.folder / "preset.toml"))
    assert preset.train["optimizer_type"] == "AdamW8bit"


@pytest.mark.parametrize("code", ["cudnn", "package", "disk"])
def test_nothing_else_is_answered_so(code: str, run: Run) -> None:
    before = (run.folder / "run.toml").read_bytes()
    assert less_memory.planned(run, failed(code), Heard(run.folder)) is None
    assert (run.folder / "run.toml").read_bytes() == before
