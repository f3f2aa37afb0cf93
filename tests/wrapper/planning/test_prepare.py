"""`train` from the request to the product, on the stand-in as a user's own checkout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from psutil import Popen

from kohya_presets.errors import PresetError, ProblemsError, UserError
from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.training.spread import of_preset
from tests import tensors
from tests.wrapper.planning.tiny import PRESET
from tests.wrapper.runs import killing
from wrapper.environments import environment
from wrapper.environments.environment import Probe
from wrapper.planning import prepare_rehearsal, prepare_training
from wrapper.planning.prepare_rehearsal import Rehearsal
from wrapper.planning.request import Request
from wrapper.rehearsal import adapt, pictures
from wrapper.runs import manifest, runner
from wrapper.screen.talk import Talk
from wrapper.system import launch, proc
from wrapper.system.launch import RUN_MARK

posix = pytest.mark.skipif(os.name != "posix", reason="a process of this user is found by its mark")


@pytest.fixture
def preset(tmp_path: Path) -> Preset:
    file = tmp_path / "tiny.toml"
    file.write_text(PRESET, "utf-8")
    return Catalogue(()).load(str(file))


@pytest.fixture
def asked(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Request, Path, str]:
    """Return a request that fits, its images and its base model; nothing of it needs torch."""
    monkeypatch.setattr(environment, "probe", lambda _: Probe("3.11", {"torch": "2"}, {}, None))
    data = tmp_path / "my pictures ü"
    pictures.draw(data, count=2)
    base = tensors.write(tmp_path / "base.safetensors", tensors.SDXL)
    request = Request(preset, "korra", tmp_path / "runs", "v0.10.1", adapt.STANDIN, sys.executable)
    return request, data, str(base)


@pytest.mark.trainer
@pytest.mark.every_release  # the command line's rehearsals do the same
def test_what_is_ready_trains_a_lora(
    asked: tuple[Request, Path, str], trainer_python: str, tmp_path: Path
) -> None:
    request, data, base = asked
    maker = adapt.STANDIN / "make_checkpoint.py"
    words = [trainer_python, maker, "--out", base, "--tokenizers", tmp_path / "tokenizers"]
    proc.run(words, env={"PYTHONPATH": str(adapt.STANDIN)})
    before = {f: f.read_bytes() for f in data.iterdir()}
    made = runner.carry_out(prepare_training.ready(request, data, base, Talk()), Talk())
    assert made is not None
    assert (made.rank, made.file) == (4, request.folder / "lora" / "korra.safetensors")
    assert {f: f.read_bytes() for f in data.iterdir()} == before


def test_a_run_records_what_went_in(asked: tuple[Request, Path, str]) -> None:
    request, data, base = asked
    run = prepare_training.ready(request, data, base, Talk())
    assert manifest.read(request.folder) == run
    assert [stage.name for stage in run.stages] == ["train", "extract"]
    assert {stage.state for stage in run.stages} == {"planned"}
    facts = manifest.read(request.folder).facts
    assert facts["base"]["sha256"] == weights.sha256(Path(base))
    assert facts["data"] == {"folder": str(data), "images": 2}
    assert facts["sd-scripts"]["folder"] == str(adapt.STANDIN)


def test_a_runs_name_is_taken_once(asked: tuple[Request, Path, str]) -> None:
    request, data, base = asked
    prepare_training.ready(request, data, base, Talk())
    with pytest.raises(UserError, match="already exists") as caught:
        prepare_training.ready(request, data, base, Talk())
    assert "resume" in (caught.value.hint or "")


@pytest.mark.parametrize("call", [prepare_training.dry, prepare_training.ready])
def test_a_base_that_predicts_v_stops_a_run_and_a_dry_one(
    call: Callable[..., object], asked: tuple[Request, Path, str]
) -> None:
    request, data, base = asked
    tensors.write(Path(base), {**tensors.SDXL, "v_pred": (0,)})
    with pytest.raises(ProblemsError) as caught:
        call(request, data, base, Talk())
    assert [p.code for p in caught.value.problems] == ["base-predicts-v"]
    assert not request.folder.exists()
    call(replace(request, ignore=("base-predicts-v",)), data, base, Talk())


def test_samples_without_prompts_stop_a_run_before_it_starts(
    asked: tuple[Request, Path, str],
) -> None:
    request, data, base = asked
    made = request.preset
    made = replace(made, train={**made.train, "sample_every_n_epochs": 1})
    with pytest.raises(ProblemsError) as caught:
        prepare_training.ready(replace(request, preset=made), data, base, Talk())
    assert [p.code for p in caught.value.problems] == ["samples-without-prompts"]


def test_a_class_that_the_trainers_python_lacks_stops_a_run(
    asked: tuple[Request, Path, str],
) -> None:
    request, data, base = asked
    made = request.preset
    made = replace(made, train={**made.train, "optimizer_type": "no_such_package.Class"})
    with pytest.raises(ProblemsError) as caught:
        prepare_training.ready(replace(request, preset=made), data, base, Talk())
    assert [p.code for p in caught.value.problems] == ["optimizer-package"]


def test_the_command_that_installs_a_missing_package_is_said_in_full(
    asked: tuple[Request, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, data, base = asked
    lacks = Probe("3.11", {"torch": "2"}, {"prodigyopt": "no"}, None)
    monkeypatch.setattr(environment, "probe", lambda _: lacks)
    made = request.preset
    made = replace(made, train={**made.train, "optimizer_type": "Prodigy"})
    with pytest.raises(ProblemsError) as caught:
        prepare_training.ready(replace(request, preset=made), data, base, Talk())
    (problem,) = caught.value.problems
    assert problem.hint == f'Run `"{sys.executable}" -m pip install prodigyopt`.'


def test_nothing_is_made_when_something_does_not_fit(
    asked: tuple[Request, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, data, base = asked
    broken = Probe("3.11", {}, {"diffusers": "ImportError: x"}, None)
    monkeypatch.setattr(environment, "probe", lambda _: broken)
    with pytest.raises(ProblemsError) as caught:
        prepare_training.ready(request, data, base, Talk())
    assert [p.code for p in caught.value.problems] == ["broken-package"]
    assert not request.runs.exists()


def test_a_dry_run_looks_at_the_preset_alone(preset: Preset, tmp_path: Path) -> None:
    request = Request(preset, "korra", tmp_path / "runs", "v0.9.1")
    plan = prepare_training.dry(request, tmp_path / "gone", "owner/repo/x.safetensors", Talk())
    words = plan.stages[1].launch.argv
    assert f"--model_org=owner{os.sep}repo{os.sep}x.safetensors" in words
    assert "v0.9.1" in plan.stages[0].launch.argv[0]
    assert not (tmp_path / "runs").exists()
    wrong = replace(request, preset=replace(preset, patches=("emma",)))
    with pytest.raises(PresetError) as caught:
        prepare_training.dry(wrong, tmp_path / "gone", "owner/repo/x.safetensors", Talk())
    assert [p.code for p in caught.value.problems] == ["unknown-patch"]


def test_a_model_without_a_miniature_is_not_rehearsed(preset: Preset, tmp_path: Path) -> None:
    flux = replace(preset, script="flux_train_network.py")
    with pytest.raises(UserError, match="cannot be rehearsed"):
        prepare_rehearsal.ready(Request(flux, "x", tmp_path / "runs", "v0.10.1"), Talk())
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def rehearse(
    shipped: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Rehearsal]:
    """Make a rehearsal of skynet with the stand-in ready; nothing of it needs torch."""
    monkeypatch.setattr(environment, "probe", lambda _: Probe("3.11", {"torch": "2"}, {}, None))

    def ready(*overrides: str) -> Rehearsal:
        preset, runs = shipped.load("skynet", overrides=overrides), tmp_path / "my runs ü"
        python = sys.executable
        asked = Request(preset, "skynet", runs, "v0.10.1", python=python, standin=True)
        asked = replace(asked, spread=of_preset(preset))
        return prepare_rehearsal.ready(asked, Talk())

    return ready


def test_a_rehearsal_is_four_stages_and_drawn_pictures(
    rehearse: Callable[..., Rehearsal],
) -> None:
    ready = rehearse()
    assert [s.name for s in ready.run.stages] == ["miniature", "train", "extract", "resize"]
    assert ready.standin
    assert ready.run.text_encoders
    assert manifest.read(ready.run.folder).facts["sd-scripts"]["standin"] is True
    left = {file.name for file in ready.run.folder.iterdir()}
    files = {"run.toml", "preset.toml", "config.toml", "dataset.toml", "accelerate.yaml"}
    assert left == {*files, "data"}
    assert len(list((ready.run.folder / "data").glob("*.png"))) == pictures.COUNT


def test_text_encoders_that_are_not_trained_are_not_expected(
    rehearse: Callable[..., Rehearsal],
) -> None:
    assert not rehearse("train.train_text_encoder=false").run.text_encoders


def test_a_rehearsal_replaces_an_earlier_one_and_nothing_else(
    rehearse: Callable[..., Rehearsal],
) -> None:
    run = rehearse().run
    (run.folder / "of the earlier one").touch()
    assert rehearse().run.folder == run.folder
    assert not (run.folder / "of the earlier one").exists()
    with FileLock(run.folder / ".lock"), pytest.raises(UserError, match="rehearsal"):
        rehearse()
    manifest.write(replace(run, kind="train"))
    with pytest.raises(UserError, match="rehearsal"):
        rehearse()


@posix
def test_a_rehearsal_whose_trainer_still_runs_is_not_replaced(
    rehearse: Callable[..., Rehearsal],
) -> None:
    run = rehearse().run
    trainer = Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env={**proc.environ(), RUN_MARK: str(run.folder)},
    )
    try:
        killing.wait_for(lambda: bool(launch.at_work(run.folder)))
        with pytest.raises(UserError, match=f"still running: process {trainer.pid} ") as caught:
            rehearse()
        assert "kohya-presets resume" in (caught.value.hint or "")
        assert manifest.read(run.folder) == run
    finally:
        trainer.kill()
        trainer.wait()
    assert rehearse().run.folder == run.folder


NAMES = ("/../x", "/../../x", "a/b", "NUL", "con", "-r\nf", "a.", "a ", "..")


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_whose_name_is_no_files_is_not_rehearsed(
    name: str, preset: Preset, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    called = replace(preset, name=name)
    asked = Request(called, f"rehearsal-{name}", tmp_path / "runs", "v0.10.1", standin=True)
    with pytest.raises(UserError, match="cannot be used as a file name"):
        prepare_rehearsal.ready(asked, Talk())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", [*NAMES, "-x"])
def test_a_run_is_not_called_so_either(name: str, asked: tuple[Request, Path, str]) -> None:
    request, data, base = asked
    called = replace(request, name=name)
    for prepare in (prepare_training.ready, prepare_training.dry):
        with pytest.raises(UserError, match="cannot be used as a file name"):
            prepare(called, data, base, Talk())
    assert not request.runs.exists()


def test_the_stand_in_trains_in_one_process_also_for_several_gpus(
    rehearse: Callable[..., Rehearsal], capsys: pytest.CaptureFixture[str]
) -> None:
    run = rehearse("run.gpus=2").run
    assert "the stand-in trains in one process" in capsys.readouterr().err
    assert "num_processes: 1\n" in (run.folder / "accelerate.yaml").read_text("utf-8")
