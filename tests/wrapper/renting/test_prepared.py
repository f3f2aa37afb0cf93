"""A run of another machine finds what it needs here, or says what is at another path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from wrapper.data import base_model
from wrapper.data.base_model import Base
from wrapper.planning import trainer
from wrapper.renting import prepared
from wrapper.runs import manifest
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk


def test_where_all_is_there_nothing_is_downloaded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_model, "find", None)
    monkeypatch.setattr(trainer, "checkout_for", None)
    prepared.prepare(run.folder, Talk())


def test_the_base_model_is_downloaded_at_the_commit_of_the_record(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, asked = tmp_path / "hub" / "x.safetensors", []
    base = {**run.facts["base"], "reference": "o/r/x.safetensors", "revision": "c0ffee"}
    manifest.write(replace(run, facts={**run.facts, "base": {**base, "file": str(file)}}))

    def find(reference: str, *, on_step: object, revision: str | None) -> Base:
        asked.append((reference, revision))
        return Base(file, reference, revision)

    monkeypatch.setattr(base_model, "find", find)
    prepared.prepare(run.folder, Talk())
    assert asked == [("o/r/x.safetensors", "c0ffee")]
    monkeypatch.setattr(
        base_model, "find", lambda *_, **__: Base(tmp_path / "other.safetensors", "x")
    )
    with pytest.raises(UserError, match="base model should be") as caught:
        prepared.prepare(run.folder, Talk())
    assert "HF_HOME" in str(caught.value.hint)


def test_images_and_a_base_model_that_only_the_other_machine_had_are_said(run: Run) -> None:
    Path(run.facts["base"]["file"]).unlink()
    with pytest.raises(UserError, match="the base model of the run is not here"):
        prepared.prepare(run.folder, Talk())
    data = Path(run.facts["data"]["folder"])
    data.rename(data.with_name("elsewhere"))
    with pytest.raises(UserError, match="the images of the run are not here"):
        prepared.prepare(run.folder, Talk())


def test_scripts_at_another_path_are_said(run: Run, tmp_path: Path) -> None:
    sources = {**run.facts["sd-scripts"], "folder": str(tmp_path / "gone"), "patches": []}
    manifest.write(replace(run, facts={**run.facts, "sd-scripts": sources}))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainer, "checkout_for", lambda *_: trainer.standin())
        patched.setattr(trainer, "with_patches", lambda found, *_: found)
        with pytest.raises(UserError, match="sd-scripts should be"):
            prepared.prepare(run.folder, Talk())


def test_a_rehearsal_is_rehearsed_again(run: Run) -> None:
    manifest.write(replace(run, kind="rehearsal"))
    with pytest.raises(UserError, match="is a rehearsal"):
        prepared.prepare(run.folder, Talk())
