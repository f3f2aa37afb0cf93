from __future__ import annotations

import io
import signal
from collections.abc import Iterator

import pytest
from rich.console import Console

from kohya_presets.problems import Place, Problem
from wrapper.screen.talk import Talk


@pytest.fixture(autouse=True)
def _signal() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_warnings_are_remembered_and_advice_is_not() -> None:
    talk = Talk(Console(file=io.StringIO()))
    talk.say("12 images")
    talk.warn("the disk is small")
    talk.problems(
        [
            Problem("caption-empty", "warning", Place(), "a caption is empty", "Fill it."),
            Problem("lr", "advice", Place(), "a lower rate is usual"),
        ]
    )
    assert talk.warned == [
        "warning: the disk is small",
        "warning: a caption is empty [caption-empty]\n  hint: Fill it.",
    ]
