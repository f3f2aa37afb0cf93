from __future__ import annotations

import pytest

from wrapper.watching.live.room import FULL, MARGIN, Room, Save
from wrapper.watching.situation import Situation


def test_a_full_disk_pauses_until_its_margin_is_free_again() -> None:
    free = [FULL - 1]
    room = Room(Situation, lambda: [Save("a state", 2**20, seconds=900.0)], lambda: free[0])
    (low,) = room.tick(0.0)
    assert low.action == "pause"
    assert low.stop.what.startswith("paused: the disk is full")
    free[0] = MARGIN - 1
    assert room.tick(9.0) == []
    assert room.is_paused
    free[0] = MARGIN
    (again,) = room.tick(18.0)
    assert again.action == "go on"
    assert not room.is_paused


@pytest.mark.parametrize(("seconds", "action"), [(900.0, "say"), (5.0, "pause")])
def test_the_next_save_is_told_early_and_waited_for_late(seconds: float, action: str) -> None:
    room = Room(Situation, lambda: [Save("a state", 2**32, seconds=seconds)], lambda: 2**30)
    (low,) = room.tick(0.0)
    assert low.action == action
    assert "a state needs 4.3 GB" in low.stop.what
    assert "Free 3.5 GB" in (low.stop.hint or "")
