"""Whole runs with the stand-in: what they leave, and what a kill at any moment costs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.loras import summary, weights
from kohya_presets.presets.catalogue import Catalogue
from tests import tensors
from tests.wrapper.runs.killing import (
    PATIENCE_SECONDS,
    STAGES,
    begin,
    finished,
    kill_trainer,
    running,
    started,
    states,
    wait_for,
)
from wrapper.runs import manifest, rehearsing, runner
from wrapper.runs.manifest import Run
from wrapper.runs.rehearsing import Rehearsal
from wrapper.runs.request import Request
from wrapper.screen.talk import Talk
from wrapper.system import launch, proc

pytestmark = pytest.mark.trainer

Prepare = Callable[..., Rehearsal]


@pytest.fixture
def prepare(shipped: Catalogue, trainer_python: str, tmp_path: Path) -> Prepare:
    """Make a rehearsal with the stand-in ready to be carried out."""

    def make(name: str = "skynet", *overrides: str) -> Rehearsal:
        preset = shipped.load(name, overrides=overrides)
        runs = tmp_path / "my runs ü"
        request = Request(
            preset, f"rehearsal-{name}", runs, "v0.10.1", python=trainer_python, standin=True
        )
        return rehearsing.ready(request, Talk())

    return make


def test_a_run_ends_in_a_verified_lora_and_a_whole_manifest(prepare: Prepare) -> None:
    run = prepare().run
    made = runner.carry_out(run, Talk())
    assert made is not None
    assert made.rank == 16
    assert min(made.unet, made.text_encoder_1, made.text_encoder_2) > 0
    done = manifest.read(run.folder)
    assert states(run.folder) == dict.fromkeys(STAGES, "done")
    for stage in done.stages:
        assert stage.exit_code == 0
        assert stage.sha256 == weights.sha256(stage.output)
        assert stage.launch.log.is_file()
    assert done.facts["sd-scripts"]["standin"] is True
    left = {f.name for f in run.folder.iterdir()}
    assert left >= {"run.toml", "preset.toml", "config.toml", "dataset.toml", "model", "lora"}
    assert not list((run.folder / "work").rglob("*.safetensors"))


def test_a_preset_without_resize_keeps_the_extractions_rank(prepare: Prepare) -> None:
    made = runner.carry_out(prepare("lion").run, Talk())
    assert made is not None
    assert made.rank == 64  # the stand-in's widest layer; the preset asks for 128


def test_a_lora_without_text_encoders_is_an_error_with_the_reason(prepare: Prepare) -> None:
    run = prepare("skynet", "extract.min_diff=0.5").run
    with pytest.raises(TrainerError, match="no text-encoder modules") as caught:
        runner.carry_out(run, Talk())
    assert caught.value.exit_code == 5
    assert "extract.min_diff" in (caught.value.hint or "")


def test_untrained_text_encoders_are_not_missed(prepare: Prepare) -> None:
    made = runner.carry_out(prepare("skynet", "train.train_text_encoder=false").run, Talk())
    assert made is not None
    assert (made.text_encoder_1, made.text_encoder_2) == (0, 0)


def test_a_failing_stage_tells_its_last_words_and_its_log(prepare: Prepare) -> None:
    run = prepare("skynet", "train.optimizer_type=torch.optim.Nonesuch").run
    with pytest.raises(TrainerError, match=r"train stopped .* 'Nonesuch'") as caught:
        runner.carry_out(run, Talk())
    assert str(run.folder / "logs" / "train.log") in str(caught.value)
    assert states(run.folder)["train"] == "failed"


def test_a_trainer_that_ends_well_and_makes_nothing_is_an_error(prepare: Prepare) -> None:
    run = prepare().run
    for image in (run.folder / "data").iterdir():
        image.unlink()
    with pytest.raises(TrainerError, match="ended without writing") as caught:
        runner.carry_out(run, Talk())
    assert "--data" in (caught.value.hint or "")


def test_a_file_that_was_changed_is_not_overwritten(prepare: Prepare) -> None:
    run = prepare().run
    runner.carry_out(run, Talk())
    product = manifest.read(run.folder).product
    product.write_bytes(b"mine now")
    with pytest.raises(UserError, match="has changed since"):
        runner.carry_out(manifest.read(run.folder), Talk())
    assert product.read_bytes() == b"mine now"


def test_a_deleted_product_is_made_again_from_the_last_stage(prepare: Prepare) -> None:
    run = prepare().run
    runner.carry_out(run, Talk())
    before = started(run.folder)
    manifest.read(run.folder).product.unlink()
    time.sleep(1.1)  # the manifest's times are whole seconds
    assert runner.carry_out(manifest.read(run.folder), Talk()) is not None
    after = started(run.folder)
    assert [name for name in STAGES if before[name] != after[name]] == ["resize"]


def test_a_run_at_work_is_not_started_twice(prepare: Prepare) -> None:
    run = prepare().run
    with (
        runner.FileLock(run.folder / ".lock"),
        pytest.raises(UserError, match="another kohya-presets is already working"),
    ):
        runner.carry_out(run, Talk())


def test_a_rehearsal_replaces_an_earlier_one_and_nothing_else(prepare: Prepare) -> None:
    run = prepare().run
    assert prepare().run.folder == run.folder
    manifest.write(replace(run, kind="train"))
    with pytest.raises(UserError, match="is not a rehearsal"):
        prepare()


def test_what_training_saved_on_the_way_stays_in_the_run(prepare: Prepare) -> None:
    run = prepare("skynet", "train.save_every_n_epochs=1", "train.save_state=true").run
    attempt = run.folder / "work" / "train"
    (attempt / "skynet-000001-state").mkdir(parents=True)
    (attempt / "skynet-000001-state" / "model.safetensors").write_bytes(b"of a killed attempt")
    talk, said = Talk(), []
    talk.say = said.append  # type: ignore[method-assign]
    runner.carry_out(run, talk)
    kept = run.folder / "work" / "train-earlier" / "skynet-000001-state" / "model.safetensors"
    assert kept.read_bytes() == b"of a killed attempt"
    assert any("work/train-earlier" in line for line in said)
    models = sorted(file.name for file in (run.folder / "model").iterdir())
    assert models[-1] == "rehearsal-skynet.safetensors"[len("rehearsal-") :]
    assert len(models) > 1
    assert list((run.folder / "states").glob("*-state/*"))


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("trainer_survives", [False, True], ids=["both killed", "we are killed"])
@pytest.mark.parametrize("stage", STAGES)
def test_after_a_kill_a_resume_ends_in_the_same_lora(
    stage: str, trainer_survives: bool, trainer_python: str, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    folder = (runs / "rehearsal-skynet").resolve()
    begun = begin(runs, "--standin", "--python", trainer_python)
    wait_for(lambda: running(folder, stage))
    begun.kill()
    begun.wait()
    if not trainer_survives:
        kill_trainer(folder)
    before = started(folder)
    done = finished(folder, before=stage)

    time.sleep(1.1)  # the manifest's times are whole seconds
    code = "from wrapper.cli import main; main()"
    resumed = proc.run([sys.executable, "-c", code, "resume", folder])

    made = summary.describe(Path(resumed.stdout.strip()))
    assert made.rank == 16
    assert min(made.unet, made.text_encoder_1, made.text_encoder_2) > 0
    after = started(folder)
    assert states(folder) == dict.fromkeys(STAGES, "done")
    assert all(after[name] == before[name] for name in done), "a finished stage was repeated"
    if trainer_survives:
        assert after[stage] == before[stage], "the trainer was at work and yet begun anew"


def test_the_lora_is_the_same_whether_killed_or_not(prepare: Prepare) -> None:
    """Same seed, same weights: what `resume` makes again is what would have been made."""

    def product() -> dict[str, bytes]:
        run: Run = prepare().run
        runner.carry_out(run, Talk())
        return tensors.contents(manifest.read(run.folder).product)

    assert product() == product()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_stops_every_process_and_leaves_a_run_to_resume(
    name: str, trainer_python: str, tmp_path: Path
) -> None:
    import signal

    runs = tmp_path / "runs"
    folder = (runs / "rehearsal-skynet").resolve()
    begun = begin(runs, "--standin", "--python", trainer_python)
    wait_for(lambda: running(folder, "train"))
    begun.send_signal(getattr(signal, name))
    assert begun.wait(PATIENCE_SECONDS) == 130
    assert launch.at_work(folder) == []
    assert states(folder)["train"] == "running"
