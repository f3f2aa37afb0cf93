"""A run that is continued is planned anew; what its folder says is compared, never executed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from tests import tensors
from wrapper.planning import again, inputs
from wrapper.rehearsal import adapt
from wrapper.runs import manifest
from wrapper.runs.kept import states
from wrapper.runs.manifest import Run


def edit(run: Run, old: str, new: str, file: str = "run.toml") -> None:
    """Replace a text in a file of the run."""
    text = (run.folder / file).read_text("utf-8")
    assert old in text
    (run.folder / file).write_text(text.replace(old, new), "utf-8")


def refused(run: Run, words: str, *, trust: bool = False) -> str:
    """Return the whole message with which the run is refused."""
    before = sorted(run.folder.parent.parent.rglob("*"))
    with pytest.raises(UserError, match=words) as caught:
        again.ready(run.folder, trust=trust)
    assert sorted(run.folder.parent.parent.rglob("*")) == before
    return f"{caught.value}\n{caught.value.hint}"


def test_the_same_inputs_give_the_same_run(run: Run) -> None:
    assert again.ready(run.folder) == run


@pytest.mark.parametrize("trust", [False, True])
def test_a_command_in_the_manifest_is_never_taken(trust: bool, run: Run) -> None:
    edit(run, "accelerate.commands.launch", "evil")
    said = refused(run, "not what was started", trust=trust)
    assert "train: -evil" in said
    assert "train: +accelerate.commands.launch" in said


def test_a_variable_of_its_environment_is_compared_too(run: Run) -> None:
    edit(run, 'PYTHONUTF8 = "1"', 'PYTHONUTF8 = "1"\nLD_PRELOAD = "/evil.so"')
    assert "train: -LD_PRELOAD=/evil.so" in refused(run, "not what was started")


@pytest.mark.parametrize("which", [str(sys.executable), str(adapt.STANDIN)])
def test_another_python_or_other_scripts_are_refused(which: str, run: Run, tmp_path: Path) -> None:
    edit(run, f'"{which}', f'"{tmp_path}/evil')
    assert "--trust" in refused(run, "was not started on this computer")


@pytest.mark.parametrize("key", ["makes", "output", "log"])
@pytest.mark.parametrize("path", ["../../precious.safetensors", "/precious.safetensors", "."])
def test_no_file_outside_of_the_run_is_its(key: str, path: str, run: Run) -> None:
    text = (run.folder / "run.toml").read_text("utf-8")
    value = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
    edit(run, value, f'{key} = "{path}"')
    refused(run, "outside of the run's folder")


def test_an_edited_setting_is_shown(run: Run) -> None:
    edit(run, "learning_rate = 0.0001", "learning_rate = 0.01", "config.toml")
    said = refused(run, "files have changed")
    assert "config.toml: -learning_rate = 0.01" in said
    assert "config.toml: +learning_rate = 0.0001" in said


def test_an_edited_preset_is_another_plan(run: Run) -> None:
    edit(run, "dim = 4", "dim = 8", "preset.toml")
    assert "extract: +--dim=8" in refused(run, "not what was started")


def test_images_that_changed_are_named(run: Run, tmp_path: Path) -> None:
    pictures_ = tmp_path / "pictures ü"
    caption = next(pictures_.glob("*.txt"))
    caption.write_text("other words", "utf-8")
    shutil.copy(next(pictures_.glob("*.png")), pictures_ / "new.png")
    said = refused(run, "images have changed")
    assert f"~ {caption.name}" in said
    assert "+ new.png" in said


def test_another_base_model_is_refused_and_a_touched_one_is_not(run: Run, tmp_path: Path) -> None:
    base = tmp_path / "base.safetensors"
    base.touch()
    again.ready(run.folder)
    tensors.write(base, {**tensors.SDXL, "more": (1,)})
    assert "sha256" in refused(run, "base model has changed")


def test_a_finished_training_does_not_ask_for_its_images(run: Run, tmp_path: Path) -> None:
    manifest.write(run.with_stage(replace(run.stages[0], state="done")))
    tensors.write(run.stages[0].output, tensors.SDXL)
    shutil.rmtree(tmp_path / "pictures ü")
    assert [stage.state for stage in again.ready(run.folder).stages] == ["done", "planned"]


def test_a_finished_training_without_its_model_is_repeated_only_if_asked(run: Run) -> None:
    manifest.write(run.with_stage(replace(run.stages[0], state="done")))
    said = refused(run, "training is finished, but its file")
    assert f"kohya-presets resume {run.folder} --train-again" in said
    again_, extract = again.ready(run.folder, train_again=True).stages
    assert (again_.state, extract.state) == ("planned", "planned")


def test_a_folder_that_was_moved_is_planned_where_it_is(run: Run) -> None:
    moved = run.folder.rename(run.folder.with_name("korra 2"))
    planned = again.ready(moved)
    assert f"--config_file={moved / 'config.toml'}" in planned.stages[0].launch.argv
    assert str(moved / "model") in (moved / "config.toml").read_text("utf-8")
    assert str(run.folder / "model") not in (moved / "config.toml").read_text("utf-8")
    assert again.ready(moved) == planned == manifest.read(moved)


def other_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOHYA_PRESETS_HOME", str(tmp_path / "another home"))


def test_a_run_from_elsewhere_is_taken_when_it_is_trusted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_computer(tmp_path, monkeypatch)
    said = refused(run, "was not started on this computer")
    assert sys.executable in said
    assert again.ready(run.folder, trust=True) == run
    assert again.ready(run.folder) == run  # and is known from now on


def test_states_from_elsewhere_can_hold_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state := run.folder / "states" / "step00000004").mkdir(parents=True)
    told = '{"format": 1, "step": 4, "epoch": 1, "bytes": 9, "seconds": 1, "saved": 1}'
    (state / "kp_resume.json").write_text(told, "utf-8")
    assert [found.step for found in states.whole(run.folder)] == [4]
    again.ready(run.folder)
    other_computer(tmp_path, monkeypatch)
    assert "states/" in refused(run, "was not started on this computer")


def test_a_manifest_of_the_version_before_is_read(
    run: Run, rewritten: Callable[[Run], Run]
) -> None:
    old = rewritten(run)
    planned = again.ready(old.folder, trust=True)
    assert planned.stages == old.stages
    assert planned.stages[0].makes == run.folder / "work" / "train" / "korra.safetensors"


@pytest.fixture
def rewritten() -> Callable[[Run], Run]:
    """Return a function that writes a run as the version before 2 of the manifest did."""

    def write(run: Run) -> Run:
        preset = Catalogue(()).load(str(run.folder / "preset.toml"))
        plan = inputs.plan(preset, replace(inputs.of(run), in_work=True, spread=None))
        facts = {name: table for name, table in run.facts.items() if name != inputs.TABLE}
        old = replace(run, stages=plan.stages, facts=facts)
        manifest.write(old)
        for name, text in plan.files.items():
            (run.folder / name).write_text(text, "utf-8")
        edit(old, "format = 2", "format = 1")
        edit(old, f'id = "{run.id}"\nfolder = "{run.folder}"\n', "")
        (run.folder / "data.json").unlink()
        return old

    return write


def test_a_base_model_from_elsewhere_can_hold_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(run, "base.safetensors", "base.ckpt")
    edit(run, "base.safetensors", "base.ckpt", "config.toml")
    other_computer(tmp_path, monkeypatch)
    assert "the base model" in refused(run, "was not started on this computer")


def test_no_escape_of_a_run_reaches_the_terminal(run: Run) -> None:
    edit(run, "accelerate.commands.launch", "evil\\u001b[2J")
    assert "\x1b" not in refused(run, "not what was started")


def test_stages_that_claim_to_be_done_start_nothing_of_the_run(run: Run, tmp_path: Path) -> None:
    scripts = run.folder / "scripts"
    scripts.mkdir()
    for stage in run.stages:
        run = run.with_stage(replace(stage, state="done"))
    manifest.write(run)
    edit(run, f'folder = "{adapt.STANDIN}"', f'folder = "{scripts}"')
    assert str(scripts) in refused(run, "was not started on this computer")


@pytest.mark.parametrize("name", ["-", "none", "../x"])
def test_an_id_that_is_none_borrows_no_trust(
    name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_computer(tmp_path, monkeypatch)
    (tmp_path / "another home" / "runs").mkdir(parents=True)
    (tmp_path / "another home" / "runs" / "none.json").write_text("{}", "utf-8")
    edit(run, run.id, name)
    refused(run, "was not started on this computer")
