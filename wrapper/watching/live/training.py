"""Everything that is watched of a training, in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wrapper.screen import progress
from wrapper.screen.progress import Step
from wrapper.watching.findings import Finding
from wrapper.watching.live.losses import Losses
from wrapper.watching.live.room import Room, Save
from wrapper.watching.live.stalls import Stalls
from wrapper.watching.situation import Situation


class Training:
    """Give it each line, each loss and the time; it answers with what it found.

    `at` is asked only for a finding. `saves` are those to come, `free` the bytes on the disk.
    """

    def __init__(
        self,
        at: Callable[[], Situation],
        *,
        saves: Callable[[Step | None], Sequence[Save]] = lambda step: (),
        free: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.step: Step | None = None
        self._losses, self._stalls = Losses(at), Stalls(at)
        self._room = Room(at, lambda: saves(self.step), free)

    @property
    def is_paused(self) -> bool:
        """Whether the run is to stand still until there is room on the disk."""
        return self._room.is_paused

    def line(self, now: float, text: str) -> list[Finding]:
        """Take a line of the log; a state of a bar is one."""
        step = progress.read(text) if progress.TRAINING in text else None
        found = self._stalls.line(now, text, step)
        if step is None:
            return found
        new = self.step is None or step.done != self.step.done
        self.step = step
        if step.loss is not None:
            found += self._losses.average(step.done, step.loss)
        return found + (self._room.tick(now, asked=True) if new and not found else [])

    def loss(self, step: int, value: float) -> list[Finding]:
        """Take a step's own loss, from TensorBoard's event file."""
        return self._losses.exact(step, value)

    def tick(self, now: float) -> list[Finding]:
        """Take the time, several times a minute."""
        return self._stalls.tick(now, paused=self.is_paused) + self._room.tick(now)
