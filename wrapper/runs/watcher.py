"""Who is told what a run does: the screen, and tests."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from wrapper.system.launch import OnLine


class Watcher(Protocol):
    """Receives the progress of a run."""

    def stage(self, name: str) -> AbstractContextManager[OnLine]:
        """Enter when a stage starts; the yielded function receives every line it prints."""

    def say(self, text: str) -> None:
        """Print a line for the reader."""
