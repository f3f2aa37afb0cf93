"""LoRAs of checkpoints while the fake trainer trains: what is deleted, when, and what never is."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kohya_presets.errors import TrainerError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.training import settings
from patches import registry
from tests import tensors
from tests.conftest import ROOT
from tests.wrapper.runs import faked
from tests.wrapper.runs.counting import counted
from tests.wrapper.runs.faked import Heard
from tests.wrapper.runs.killing import wait_for
from wrapper.extraction import tool
from wrapper.planning import disk
from wrapper.runs import manifest, runner
from wrapper.runs.kept import loras
from wrapper.runs.manifest import Run
from wrapper.system import launch
from wrapper.watching import pauses

TICK = loras.Keeper.tick
FAKE = Path(__file__).parents[1] / "fake_extract.py"


def run_of(folder: Path, checkpoints: int, *words: str) -> Run:
    """Return a run that saves so many checkpoints, each extracted with the fake's `words`."""
    run = faked.new(folder, {"train": (f"--checkpoints={checkpoints}",)}, stages=("train",))
    (train,) = run.stages
    train = replace(train, makes=train.output)
    argv = [word.replace("work/train", "model") for word in train.launch.argv]
    run = run.with_stage(replace(train, launch=replace(train.launch, argv=tuple(argv))))
    made, log = folder / "work" / "keep", folder / "logs" / "keep.log"
    site = tool.Site(folder, sys.executable, made, log)
    chain = [(str(FAKE), "--model_tuned={in}", "--save_to={out}", *words)]
    pattern, jobs = tool.checkpoints_of("korra"), folder / "keep.json"
    text, planned = tool.while_training(
        jobs, folder / "model", pattern, folder / "lora", chain, site
    )
    jobs.write_text(text, "utf-8")
    return replace(run, keeps=planned)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return (tmp_path / "my runs ü" / "korra").resolve()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.safetensors"))


@pytest.mark.parametrize("after", ["0", "0.4"], ids=["fast", "slower than training"])
def test_each_checkpoint_becomes_a_lora_and_there_are_never_three(after: str, folder: Path) -> None:
    run, heard = run_of(folder, 5, "--after", after), Heard(folder)
    with counted(folder / "model", "korra-0*.safetensors") as most:
        runner.carry_out(run, heard)
    assert names(folder / "model") == ["korra.safetensors"]
    assert names(folder / "lora") == [f"korra-00000{n}.safetensors" for n in range(1, 6)]
    assert 1 <= most[0] <= 2
    assert not (folder / "work" / "keep").exists()
    assert sum("keep: lora/korra" in line for line in heard.said) == 5


@pytest.mark.parametrize("after", ["0", "0.4"], ids=["fast", "slower than training"])
def test_the_disk_that_is_planned_is_what_a_run_keeps(
    after: str, folder: Path, shipped: Catalogue
) -> None:
    preset = shipped.load("lion", overrides=["train.max_train_epochs=6"])
    preset = replace(preset, train={**preset.train, "save_every_n_epochs": 1})
    planned = {}
    for keep in ("all", "loras"):
        asked = replace(preset, run={"keep": keep})
        written = disk.plan(asked, settings.of_preset(asked, "v0.10.1", registry.additions()))
        planned[keep] = {one.what: 0 for one in written}
        for one in written:
            planned[keep][one.what] += one.count
    run = run_of(folder, 5, "--after", after)  # and its last model
    with counted(folder / "model", "korra*.safetensors") as most:
        runner.carry_out(run, Heard(folder))
    assert most[0] <= planned["loras"]["model"] == 3 < planned["all"]["model"] == 6
    # The last model's own is extracted by the next stage, which this run does not have.
    assert len(names(folder / "lora")) == planned["loras"]["LoRA"] - 1 == 5


def test_a_checkpoint_without_a_lora_is_kept(folder: Path) -> None:
    run, heard = run_of(folder, 3, "--fail", "korra-000002"), Heard(folder)
    runner.carry_out(run, heard)
    assert names(folder / "model") == ["korra-000002.safetensors", "korra.safetensors"]
    assert names(folder / "lora") == ["korra-000001.safetensors", "korra-000003.safetensors"]
    assert any("korra-000002.safetensors could not be extracted" in line for line in heard.said)


def test_what_an_earlier_attempt_left_is_finished_and_nothing_is_written_over(folder: Path) -> None:
    run = run_of(folder, 2)
    made, left = folder / "work" / "keep", folder / "model"
    tensors.write(made / "korra-000004.safetensors", tensors.lora(16), fill=tensors.ONES)
    tensors.write(made / "korra-000005.0.part.safetensors", tensors.lora(16), cut=4)
    for number in (4, 5, 6):
        tensors.write(left / f"korra-00000{number}.safetensors", tensors.SDXL)
    mine = tensors.write(folder / "lora" / "korra-000006.safetensors", tensors.lora(4))
    before = mine.read_bytes()
    # The states of the attempt are what it goes on from: its files stay where they are.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("wrapper.runs.attempt.places.set_aside", lambda _: None)
        runner.carry_out(run, Heard(folder))
    assert mine.read_bytes() == before
    assert names(left) == ["korra.safetensors"]
    assert names(folder / "lora") == [f"korra-00000{n}.safetensors" for n in (1, 2, 4, 5, 6)]


@pytest.mark.parametrize("after", ["0", "60"], ids=["while it waits", "while it extracts"])
def test_a_kill_of_ours_ends_the_extraction_too(after: str, folder: Path) -> None:
    run, made = run_of(folder, 1, "--after", after), folder / "work" / "keep"
    assert run.keeps is not None
    (folder / "model").mkdir(parents=True)
    tensors.write(folder / "model" / "korra-000001.safetensors", tensors.SDXL)
    code = f"""
import os
from pathlib import Path, PosixPath, WindowsPath
from wrapper.system import launch
from wrapper.system.launch import Launch
its, ours = os.pipe()
launch.run({run.keeps!r}, on_line=str, stdin=its)
"""
    parent = psutil.Popen([sys.executable, "-c", code], cwd=ROOT)
    log = run.keeps.log
    word = "extracted the LoRA" if after == "0" else "extracting the LoRA"
    wait_for(lambda: log.exists() and word in log.read_text("utf-8"))
    assert launch.at_work(made)
    parent.kill()
    parent.wait()
    started = time.monotonic()
    wait_for(lambda: not launch.at_work(made))
    assert time.monotonic() - started < 20


def test_a_failure_is_told_before_what_is_left_is_extracted(folder: Path) -> None:
    run, heard = run_of(folder, 1, "--after", "30"), Heard(folder)
    (train,) = run.stages
    argv = (*train.launch.argv, "--makes=nothing", "--exit-code=3")
    failing = run.with_stage(replace(train, launch=replace(train.launch, argv=argv)))
    with pytest.raises(TrainerError, match="exit code 3"):
        runner.carry_out(failing, heard)
    said = "keep: no LoRA yet of korra-000001.safetensors; "
    assert any(line.startswith(said) for line in heard.said)
    assert not launch.at_work(folder / "work" / "keep")
    assert names(folder / "model") == ["korra-000001.safetensors"]


def test_a_lora_that_is_not_whole_is_made_again(folder: Path) -> None:
    run, heard = run_of(folder, 2), Heard(folder)
    tensors.write(folder / "model" / "korra-000004.safetensors", tensors.SDXL)
    half = tensors.write(folder / "lora" / "korra-000004.safetensors", tensors.lora(16), cut=4)
    before = half.read_bytes()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("wrapper.runs.attempt.places.set_aside", lambda _: None)
        runner.carry_out(run, heard)
    assert names(folder / "model") == ["korra.safetensors"]
    assert "korra-000004.safetensors" in names(folder / "lora")
    assert (folder / "lora" / "korra-000004.safetensors.part").read_bytes() == before
    assert any("korra-000004.safetensors was not whole" in line for line in heard.said)


@pytest.mark.skipif(os.name != "posix", reason="a process is found by its mark")
def test_an_interrupt_stops_the_extraction_and_loses_no_checkpoint(folder: Path) -> None:
    run = run_of(folder, 2, "--after", "90")

    class Impatient(Heard):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("keep: "):
                raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        runner.carry_out(run, Impatient(folder))
    assert time.monotonic() - started < 80
    assert not launch.at_work(folder / "work" / "keep")
    assert names(folder / "model")[:2] == ["korra-000001.safetensors", "korra-000002.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_while_training_waits_for_the_extraction_is_heard(folder: Path) -> None:
    run, heard = run_of(folder, 9, "--after", "30"), Heard(folder)
    full, started = folder / "model" / "korra-000002.safetensors", time.monotonic()

    with pytest.MonkeyPatch.context() as patched:

        def tick(keeper: loras.Keeper, processes: launch.Processes) -> None:
            TICK(keeper, processes)
            if full.exists() and pauses.stand_still(processes()):
                raise KeyboardInterrupt

        patched.setattr(loras.Keeper, "tick", tick)
        with pytest.raises(KeyboardInterrupt):
            runner.carry_out(run, heard)
    assert time.monotonic() - started < 25
    assert not launch.at_work(folder)
    assert not launch.at_work(folder / "work" / "keep")


def test_what_was_left_when_training_finished_unseen_is_extracted(folder: Path) -> None:
    run = run_of(folder, 2)
    (train,) = run.stages
    for number in (1, 2):
        tensors.write(folder / "model" / f"korra-00000{number}.safetensors", tensors.SDXL)
    tensors.write(train.output, tensors.SDXL)
    run = run.with_stage(replace(train, state="running"))
    manifest.write(run)
    runner.carry_out(run, Heard(folder))
    assert names(folder / "model") == ["korra.safetensors"]
    assert names(folder / "lora") == ["korra-000001.safetensors", "korra-000002.safetensors"]
    assert not faked.starts(folder)


def test_a_checkpoint_saved_again_lets_nobody_wait(folder: Path) -> None:
    run, lora = run_of(folder, 3), folder / "lora" / "korra-000001.safetensors"
    tensors.write(lora, tensors.lora(4), fill=tensors.ONES)
    before = lora.read_bytes()
    with pytest.MonkeyPatch.context() as patched:  # it goes on from a state
        patched.setattr("wrapper.runs.attempt.places.set_aside", lambda _: None)
        runner.carry_out(run, Heard(folder))
    assert lora.read_bytes() == before
    assert names(folder / "model") == ["korra.safetensors"]


def test_loras_of_a_training_that_began_anew_are_not_taken_for_its_own(folder: Path) -> None:
    run, earlier = run_of(folder, 1), folder / "lora" / "korra-000001.safetensors"
    tensors.write(earlier, tensors.lora(4), fill=tensors.ONES)
    before = earlier.read_bytes()
    runner.carry_out(run, Heard(folder))
    assert (folder / "lora-earlier" / earlier.name).read_bytes() == before
    assert names(folder / "lora") == [earlier.name]
    assert earlier.read_bytes() != before
