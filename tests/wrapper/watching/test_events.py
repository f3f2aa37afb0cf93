from __future__ import annotations

import struct
from pathlib import Path

from tests.wrapper.watching.event_files import event
from wrapper.watching.events import Loss, Losses

NAME = "events.out.tfevents.1700000000.machine.123.0"


def test_losses_are_read_as_they_are_added(tmp_path: Path) -> None:
    file = tmp_path / "train" / NAME
    file.parent.mkdir()
    file.write_bytes(event(1, "loss", 0.5))
    losses = Losses(tmp_path)
    assert losses.new() == []  # of an earlier attempt
    with file.open("ab") as more:
        more.write(event(2, "loss", 0.25) + event(2, "lr/unet", 1.0) + event(300, "loss", 0.125))
    assert losses.new() == [Loss(2, 0.25), Loss(300, 0.125)]
    assert losses.new() == []


def test_a_record_that_is_half_written_waits(tmp_path: Path) -> None:
    whole = event(7, "loss/current", 0.5)
    losses = Losses(tmp_path)
    (tmp_path / NAME).write_bytes(whole[:-6])
    assert losses.new() == []
    (tmp_path / NAME).write_bytes(whole)
    assert losses.new() == [Loss(7, 0.5)]


def test_what_is_no_event_stops_nothing(tmp_path: Path) -> None:
    losses = Losses(tmp_path / "not there")
    assert losses.new() == []
    losses = Losses(tmp_path)
    junk = bytes(range(256))
    (tmp_path / NAME).write_bytes(struct.pack("<QI", 256, 0) + junk + b"\0\0\0\0" + junk)
    assert losses.new() == []
