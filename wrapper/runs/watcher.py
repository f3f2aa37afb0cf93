"""Who is told what a run does: the screen, and tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from wrapper.system.launch import OnLine


class NotFinished(Exception):
    """Raised within a stage so that nobody is told that it is finished."""


class Watcher(Protocol):
    """Receives the progress of a run."""

    def stage(
        self, name: str, news: Callable[[], str] = lambda: ""
    ) -> AbstractContextManager[OnLine]:
        """Enter when a stage starts; the yielded function receives every line it prints.

        `news` returns what is to stand beside its bar. Left without an exception, it is finished.
        """

    def say(self, text: str) -> None:
        """Print a line for the reader."""
