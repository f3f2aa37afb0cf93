"""Whole runs of the fake trainer: what they leave, and what a kill at any moment costs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import StoppedError, TrainerError, UserError
from kohya_presets.loras import weights
from tests import tensors
from tests.wrapper.runs import faked
from tests.wrapper.runs.faked import Heard
from tests.wrapper.runs.killing import (
    PATIENCE_SECONDS,
    STAGES,
    finished,
    kill_trainer,
    resume,
    states,
    wait_for,
)
from wrapper.runs import manifest, overview, runner, sources
from wrapper.runs.manifest import Run
from wrapper.system import launch
from wrapper.system.launch import OnLine

posix = pytest.mark.skipif(os.name != "posix", reason="signals")
ONCE = Counter(STAGES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return (tmp_path / "my runs ü" / "korra").resolve()


def carried_out(run: Run) -> Heard:
    """Return what was heard of a run that came to its good end."""
    heard = Heard(run.folder)
    assert runner.carry_out(run, heard) is not None
    return heard


def resumed(folder: Path) -> Heard:
    return carried_out(manifest.read(folder))


def test_a_run_ends_in_a_verified_lora_and_a_whole_manifest(folder: Path) -> None:
    run = faked.new(folder)
    made = runner.carry_out(run, Heard(folder))
    assert made is not None
    assert (made.rank, made.file) == (16, folder / "lora" / "korra.safetensors")
    assert min(made.unet, made.text_encoder_1, made.text_encoder_2) > 0
    done = manifest.read(folder)
    assert states(folder) == dict.fromkeys(STAGES, "done")
    for stage in done.stages:
        assert stage.exit_code == 0
        assert stage.sha256 == weights.sha256(stage.output)
        assert "started" in stage.launch.log.read_text("utf-8")
    assert (folder / "config.toml").read_text("utf-8") == "# as rendered\n"
    assert not list((folder / "work").rglob("*.safetensors"))


def test_every_state_of_a_bar_is_a_line_for_the_watcher(folder: Path) -> None:
    said = carried_out(faked.new(folder)).lines["train"]
    assert said[0] == "train: started"
    assert any("avr_loss=0.1" in line and "\r" not in line for line in said)


def test_a_run_that_extracts_nothing_ends_with_its_model(folder: Path) -> None:
    assert runner.carry_out(faked.new(folder, stages=("train",)), Heard(folder)) is None
    assert (folder / "model" / "korra.safetensors").is_file()


@pytest.mark.parametrize(
    ("given", "hint"),
    [((), "min_diff=1e-06"), (("--min_diff=1e-06",), "Use a higher learning rate")],
)
def test_a_lora_without_text_encoders_is_an_error_with_the_reason(
    given: tuple[str, ...], hint: str, folder: Path
) -> None:
    run = faked.new(folder, {"extract": given, "resize": ("--no-te",)})
    with pytest.raises(TrainerError, match="text-encoder modules") as caught:
        runner.carry_out(run, Heard(folder))
    assert caught.value.exit_code == 5
    assert hint in (caught.value.hint or "")


def test_untrained_text_encoders_are_not_missed(folder: Path) -> None:
    run = faked.new(folder, {"resize": ("--no-te",)}, text_encoders=False)
    made = runner.carry_out(run, Heard(folder))
    assert made is not None
    assert (made.text_encoder_1, made.text_encoder_2) == (0, 0)


def test_a_failing_stage_tells_its_last_words_and_its_log(folder: Path) -> None:
    last = "AttributeError: module 'torch.optim' has no attribute 'Nonesuch'"
    run = faked.new(folder, {"train": ("--makes=nothing", f"--say={last}", "--exit-code=3")})
    heard = Heard(folder)
    with pytest.raises(TrainerError, match=r"train .* 3.* 'Nonesuch'") as caught:
        runner.carry_out(run, heard)
    assert str(folder / "logs" / "train.log") in str(caught.value)
    assert heard.finished == ["miniature"]
    assert states(folder)["train"] == "failed"
    assert faked.starts(folder) == Counter(("miniature", "train"))


@pytest.mark.parametrize("said", ["", "--say=out of luck"], ids=["silent", "in words"])
def test_a_failure_is_not_explained_by_an_earlier_attempt(said: str, folder: Path) -> None:
    before = "--say=kohya-presets: stopped by SIGTERM after step 7, exit code 85"
    run = faked.new(folder, {"train": ("--makes=nothing", before, "--exit-code=85")})
    with pytest.raises(StoppedError):
        runner.carry_out(run, Heard(folder))
    assert overview.status(manifest.read(folder)).startswith("train stopped")
    train = manifest.read(folder).stages[1]
    words = f"import sys; sys.stderr.write({said.removeprefix('--say=')!r}); sys.exit(1)"
    silent = replace(train.launch, argv=(sys.executable, "-c", words))
    stopped = manifest.read(folder).with_stage(replace(train, launch=silent))
    with pytest.raises(TrainerError, match=f"exit code 1: {said[6:] or 'it printed nothing'}"):
        runner.carry_out(stopped, Heard(folder))


def test_a_failed_stage_is_begun_again(folder: Path) -> None:
    run = faked.new(folder, {"train": ("--makes=nothing", "--exit-code=1")})
    with pytest.raises(TrainerError):
        runner.carry_out(run, Heard(folder))
    failed = manifest.read(folder)
    train = failed.stages[1]
    argv = tuple(word for word in train.launch.argv if not word.startswith("--"))
    mended = replace(train.launch, argv=(*argv, "--makes=model"))
    carried_out(failed.with_stage(replace(train, launch=mended)))
    assert faked.starts(folder) == ONCE + Counter(["train"])


def test_a_trainer_that_ends_well_and_makes_nothing_is_an_error(folder: Path) -> None:
    said = "--say=No data found. Please verify arguments"
    run = faked.new(folder, {"train": ("--makes=nothing", said)})
    with pytest.raises(TrainerError, match=r"train .*korra\.safetensors") as caught:
        runner.carry_out(run, Heard(folder))
    assert "--data" in (caught.value.hint or "")
    assert states(folder)["train"] == "failed"


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--cut=4",), "incomplete"), (("--makes=lora",), "a LoRA")],
    ids=["cut short", "another kind"],
)
def test_an_unusable_file_is_an_error_and_stays_where_it_is(
    options: tuple[str, ...], said: str, folder: Path
) -> None:
    with pytest.raises(TrainerError, match=said):
        runner.carry_out(faked.new(folder, {"train": options}), Heard(folder))
    assert (folder / "work" / "train" / "korra.safetensors").is_file()
    assert not (folder / "model").exists()
    assert states(folder)["train"] == "failed"
    assert faked.starts(folder) == Counter(("miniature", "train"))


def test_a_file_that_was_changed_is_not_overwritten(folder: Path) -> None:
    carried_out(faked.new(folder))
    product = manifest.read(folder).product
    product.write_bytes(b"mine now")
    with pytest.raises(UserError, match="changed since"):
        runner.carry_out(manifest.read(folder), Heard(folder))
    assert product.read_bytes() == b"mine now"
    assert faked.starts(folder) == ONCE


def test_a_deleted_product_is_made_again_from_the_last_stage(folder: Path) -> None:
    carried_out(faked.new(folder))
    manifest.read(folder).product.unlink()
    resumed(folder)
    assert faked.starts(folder) == ONCE + Counter(["resize"])


def test_a_run_at_work_is_not_started_twice(folder: Path) -> None:
    run = faked.new(folder)
    with runner.lock(folder), pytest.raises(UserError, match="another"):
        runner.carry_out(run, Heard(folder))
    assert not faked.starts(folder)


def test_a_runs_folder_is_taken_once(folder: Path) -> None:
    faked.new(folder)
    with pytest.raises(UserError) as caught:
        faked.new(folder)
    assert "resume" in (caught.value.hint or "")


@posix
def test_a_kill_while_the_folder_is_made_leaves_the_name_free(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_here(run: Run) -> str:
        os._exit(1)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(manifest, "text", killed_here)
        faked.new(folder)
    os.waitpid(child, 0)
    carried_out(faked.new(folder))


def test_a_folder_that_is_no_run_is_not_offered_to_be_resumed(folder: Path) -> None:
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match="is not a run") as caught:
        faked.new(folder)
    assert "another --name" in (caught.value.hint or "")


def test_what_training_saved_on_the_way_stays_in_the_run(folder: Path) -> None:
    run = faked.new(folder, {"train": ("--on-the-way",)})
    earlier = folder / "work" / "train" / "korra-000001-state" / "model.safetensors"
    tensors.write(earlier, {"of a killed attempt": (1,)})
    before = earlier.read_bytes()
    heard = carried_out(run)
    assert (folder / "work/train-earlier/korra-000001-state/model.safetensors").read_bytes() == (
        before
    )
    assert any("work/train-earlier" in line for line in heard.said)
    models = sorted(file.name for file in (folder / "model").iterdir())
    assert models == ["korra-000001.safetensors", "korra.safetensors"]
    assert (folder / "states" / "korra-000001-state" / "model.safetensors").is_file()
    assert (folder / "samples" / "korra_e000001_00.png").is_file()


@posix
@pytest.mark.parametrize("stage", STAGES)
def test_after_both_were_killed_a_resume_begins_the_stage_again(stage: str, folder: Path) -> None:
    killed(faked.new(folder), stage)
    kill_trainer(folder)
    finished(folder, before=stage)
    resumed(folder)
    assert states(folder) == dict.fromkeys(STAGES, "done")
    assert faked.starts(folder) == ONCE + Counter([stage]), "a finished stage was repeated"


@posix
@pytest.mark.parametrize("stage", STAGES)
def test_a_trainer_that_outlives_us_is_followed_to_its_end(stage: str, folder: Path) -> None:
    killed(faked.new(folder), stage)
    finished(folder, before=stage)
    heard = resumed(folder)  # which releases the stage as soon as it is watched
    assert states(folder) == dict.fromkeys(STAGES, "done")
    assert faked.starts(folder) == ONCE, "the trainer was at work and yet begun anew"
    assert heard.lines[stage], "nothing was heard of the trainer that was followed"


@posix
@pytest.mark.parametrize("stage", STAGES)
def test_what_was_finished_when_nobody_looked_is_taken(stage: str, folder: Path) -> None:
    killed(faked.new(folder), stage)
    faked.release(folder, stage)
    wait_for(lambda: not launch.at_work(folder))
    assert states(folder)[stage] == "running"
    resumed(folder)
    assert states(folder) == dict.fromkeys(STAGES, "done")
    assert faked.starts(folder) == ONCE


@posix
def test_a_trainer_that_outlives_us_and_fails_is_a_failure(folder: Path) -> None:
    killed(faked.new(folder, {"train": ("--makes=nothing", "--say=out of luck")}), "train")
    with pytest.raises(TrainerError, match="out of luck"):
        runner.carry_out(manifest.read(folder), Heard(folder))
    assert states(folder)["train"] == "failed"


def test_a_kill_in_the_middle_of_writing_costs_that_stage_alone(folder: Path) -> None:
    run = faked.new(folder)
    carried_out(run)
    train = manifest.read(folder).stages[1]
    tensors.write(train.makes, tensors.SDXL, cut=4)
    train.output.unlink()
    manifest.write(manifest.read(folder).with_stage(replace(train, state="running")))
    resumed(folder)
    assert faked.starts(folder) == ONCE + Counter(["train"])
    kept = folder / "work" / "train-earlier" / train.makes.name
    assert kept.is_file()


def test_a_kill_after_the_file_was_moved_costs_nothing(folder: Path) -> None:
    carried_out(faked.new(folder))
    done = manifest.read(folder)
    manifest.write(done.with_stage(replace(done.stages[1], state="running", sha256=None)))
    resumed(folder)
    assert faked.starts(folder) == ONCE
    assert manifest.read(folder).stages[1].sha256 == done.stages[1].sha256


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_stops_every_process_and_leaves_a_run_to_resume(
    name: str, folder: Path
) -> None:
    faked.new(folder)
    faked.hold(folder, "train")
    begun = resume(folder)
    wait_for(lambda: faked.starts(folder)["train"] == 1)
    begun.send_signal(getattr(signal, name))
    assert begun.wait(PATIENCE_SECONDS) == 130
    assert launch.at_work(folder) == []
    assert states(folder)["train"] == "running"
    resumed(folder)
    assert faked.starts(folder) == ONCE + Counter(["train"])


@posix
def test_the_time_of_every_attempt_is_counted(folder: Path) -> None:
    class Impatient(Heard):
        @contextmanager
        def stage(self, name: str, news: Callable[[], str] = lambda: "") -> Iterator[OnLine]:
            def heard(line: str) -> None:
                if name == "train" and "/100" in line:
                    time.sleep(1.2)
                    raise KeyboardInterrupt

            yield heard

    faked.hold((run := faked.new(folder)).folder, "train")
    with pytest.raises(KeyboardInterrupt):
        runner.carry_out(run, Impatient(folder))
    train = manifest.read(folder).stage("train")
    assert (train.state, bool(train.finished)) == ("running", True)
    assert (train.seconds or 0) > 1.2
    killed(manifest.read(folder), "train", after=1.5)
    kill_trainer(folder)
    before = train.seconds or 0
    resumed(folder)
    done = manifest.read(folder).stage("train")
    assert (done.seconds or 0) > before + 0.5, "the time of the attempt that was killed is missing"


@posix
def test_a_machine_that_is_taken_back_leaves_the_trainer_time_to_save(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "require_same_patches", lambda run: None)  # a fake has none
    run = faked.new(folder, {"train": ("--saves",)}, stages=("train",))
    (train,) = run.stages
    trainer = [word.replace(str(train.makes), str(train.output)) for word in train.launch.argv]
    launcher = f"import subprocess, sys; sys.exit(subprocess.run({trainer!r}).returncode)"
    launched = replace(train.launch, argv=(sys.executable, "-c", launcher))
    run = run.with_stage(replace(train, makes=train.output, launch=launched))
    run = replace(run, facts={"sd-scripts": {"patches": ["resume"]}})
    faked.hold(folder, "train")

    class TakenBack(Heard):
        """Tells the launcher and the trainer at once to terminate, as a machine does."""

        @contextmanager
        def stage(self, name: str, news: Callable[[], str] = lambda: "") -> Iterator[OnLine]:
            def heard(line: str) -> None:
                if line == "train: started":
                    os.killpg(os.getpgid(launch.at_work(folder)[0].pid), signal.SIGTERM)

            yield heard

    heard = TakenBack(folder)
    with pytest.raises(StoppedError, match="stopped by SIGTERM after step 7"):
        runner.carry_out(run, heard)
    assert "train: stopped by SIGTERM after step 7, exit code 85" in heard.said
    assert launch.at_work(folder) == []


def killed(run: Run, stage: str, *, after: float = 0) -> None:
    """Carry the run out in a process of its own, killed while that stage is at work."""
    faked.hold(run.folder, stage)
    before = faked.starts(run.folder)[stage]
    begun = resume(run.folder)
    wait_for(lambda: faked.starts(run.folder)[stage] == before + 1)
    time.sleep(after)
    begun.kill()
    begun.wait()


@pytest.mark.parametrize("kind", ["train", "rehearsal"])
@pytest.mark.parametrize("gone", ["python", "scripts"])
def test_a_python_or_scripts_that_are_gone_are_named_with_the_way_back(
    gone: str, kind: manifest.Kind, folder: Path
) -> None:
    run = replace(faked.new(folder), kind=kind, facts={"sd-scripts": {"release": "v0.9.1"}})
    stage = run.stages[0]
    at = folder.parent / "gone"
    launched = replace(stage.launch, argv=(str(at), *stage.launch.argv[1:]))
    if gone == "scripts":
        launched = replace(stage.launch, cwd=at)
    with pytest.raises(UserError, match=r"miniature cannot start: .*gone is not there") as caught:
        runner.carry_out(run.with_stage(replace(stage, launch=launched)), Heard(folder))
    hint = caught.value.hint or ""
    assert "kohya-presets rehearse skynet --release v0.9.1" in hint
    assert ("kohya-presets resume" in hint) is (kind == "train")
    assert states(folder)["miniature"] == "planned"
    assert faked.starts(folder) == Counter()


def test_a_machine_that_only_helps_ends_well_without_a_file(folder: Path) -> None:
    run = faked.new(folder, {"train": ("--makes=nothing",)}, stages=("train",))
    run = run.with_stage(replace(run.stages[0], expects=manifest.NOTHING))
    manifest.write(run)
    assert runner.carry_out(run, Heard(folder)) is None
    assert states(folder) == {"train": "done"}
    heard = Heard(folder)
    assert runner.carry_out(manifest.read(folder), heard) is None
    assert any("already done (machine 0 has its file)" in line for line in heard.said)


def test_a_machine_that_helps_and_fails_has_failed(folder: Path) -> None:
    run = faked.new(folder, {"train": ("--makes=nothing", "--exit-code=3")}, stages=("train",))
    run = run.with_stage(replace(run.stages[0], expects=manifest.NOTHING))
    manifest.write(run)
    with pytest.raises(TrainerError, match="exit code 3"):
        runner.carry_out(run, Heard(folder))
    assert states(folder) == {"train": "failed"}
