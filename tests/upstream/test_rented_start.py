"""A rented machine with sd-scripts is taken back, and another one goes on from the bucket."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from tests.wrapper.renting import packs, pictures
from tests.wrapper.renting.started import Machine
from wrapper.checkouts.checkout import Checkout
from wrapper.renting import pack
from wrapper.system import paths

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
