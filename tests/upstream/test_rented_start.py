"""A rented machine with sd-scripts is taken back, and another one goes on from the bucket."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import StoppedError
from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from tests import tensors
from tests.upstream.conftest import Rehearsed
from tests.wrapper.renting import packs, pictures
from tests.wrapper.renting.started import Machine
from wrapper.checkouts.checkout import Checkout
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.renting import pack
from wrapper.runs import manifest, runner
from wrapper.runs.kept import states
from wrapper.screen.talk import Talk
from wrapper.system import launch, paths

RELEASE = "v0.10.1"
pytestmark = [
    pytest.mark.upstream,
    pytest.mark.trainer,
    pytest.mark.skipif(sys.platform == "win32", reason="rented machines have Linux"),
]


def test_a_lost_machine_goes_on_from_the_newest_state_in_the_bucket(
    upstream: Callable[[str], Checkout], shipped: Catalogue, tmp_path: Path
) -> None:
    upstream(RELEASE)
    around, bucket = tmp_path / "rented é", tmp_path / "bucket ö"
    around.mkdir()
    file = around / "korra é.zip"
    data = pictures.folder(tmp_path, count=12, side=256)
    pack.write(packs.of(shipped.load("lion"), data), file)
    machine = Machine(around, file, "", bucket).with_tool()
    machine.mark(machine.checksum())
    machine.more = {"KP_STANDIN": "", "KOHYA_PRESETS_HOME": str(paths.home())}
    process, log = machine.start(), machine.run / "logs" / "train.log"
    while process.poll() is None:
        if log.is_file() and re.search(rb"\| *[3-9]/12 ", log.read_bytes()):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) != 0, machine.said
    (state,) = (bucket / "rehearsal-lion" / "states").iterdir()
    machine.lose()
    machine.with_tool().mark(machine.checksum())
    assert machine.start().wait(300) == 0, machine.said
    assert "the run of another machine is here: going on" in machine.said
    assert f"from states/{state.name}" in machine.said
    made = machine.run / "lora" / "lion.safetensors"
    assert weights.read(made).tensors
    assert (bucket / "rehearsal-lion" / "lora" / made.name).read_bytes() == made.read_bytes()


def test_a_state_that_was_carried_elsewhere_makes_the_same_lora(
    rehearsed: Callable[..., Rehearsed], shipped: Catalogue, tmp_path: Path
) -> None:
    whole = rehearsed("lion", RELEASE)
    preset = shipped.load("lion", overrides=["train.state_every_minutes=0.001"])
    begun = Request(preset, "here", tmp_path / "runs ü", RELEASE)
    run = prepare_rehearsal.ready(begun, Talk()).run
    with pytest.raises(StoppedError):
        runner.carry_out(run, Stopping(run.folder))
    saved = states.newest(run.folder)
    assert saved is not None
    assert 0 < saved.step < 12
    carried = tmp_path / "carried é" / saved.folder.name
    shutil.copytree(saved.folder, carried)
    shutil.rmtree(run.folder)
    elsewhere = replace(begun, name="elsewhere", states=carried.parent)
    then = prepare_rehearsal.ready(elsewhere, Talk()).run
    runner.carry_out(then, Talk())
    log = (then.folder / "logs" / "train.log").read_text("utf-8")
    assert f"continuing after step {saved.step}" in log
    assert "not be exactly the same" not in log
    assert tensors.contents(manifest.read(then.folder).product) == whole.weights


class Stopping(Talk):
    """A watcher that tells the trainer to stop, as soon as the run has a state."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def say(self, text: str) -> None:
        """Say it; stop training at the first state that is saved."""
        super().say(text)
        if "state of step" in text:
            for process in launch.at_work(self.folder):
                process.terminate()
