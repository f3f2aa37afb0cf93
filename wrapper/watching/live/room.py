"""Room on the disk for what a training saves next: warn early, and pause before it is too late.

A save that fails on a full disk ends the training. A paused one goes on when there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wrapper.system import sizes
from wrapper.watching.findings import Action, Finding, Stop
from wrapper.watching.situation import Situation

MARGIN = 256 * 2**20  # bytes beside a save: logs, samples, TensorBoard
FULL = 32 * 2**20  # bytes: now the log itself cannot be written soon
EVERY_SECONDS = 5.0  # between two looks at the disk
NEAR_STEPS = 2  # before a save: pause now
NEAR_SECONDS = 30.0


@dataclass(frozen=True)
class Save:
    """A file or folder that will be written: how large, and in how many steps or seconds."""

    what: str  # "the model of epoch 10", "a state"
    size: int  # bytes
    steps: int | None = None  # until then; None: not known
    seconds: float | None = None

    @property
    def is_near(self) -> bool:
        """Whether it may be written before the next look at the disk."""
        near = self.steps is not None and self.steps <= NEAR_STEPS
        return near or (self.seconds is not None and self.seconds <= NEAR_SECONDS)


class Room:
    """Compares what comes with what is free. `saves` and `free` are asked every few seconds."""

    def __init__(
        self,
        at: Callable[[], Situation],
        saves: Callable[[], Sequence[Save]],
        free: Callable[[], int | None],
    ) -> None:
        self._at, self._saves, self._free = at, saves, free
        self._looked: float | None = None
        self._told: set[str] = set()
        self._waits: int | None = None  # bytes that a paused run waits for

    @property
    def is_paused(self) -> bool:
        """Whether the run is to stand still now."""
        return self._waits is not None

    def tick(self, now: float, *, asked: bool = False) -> list[Finding]:
        """Look at the disk, where that is due or `asked`."""
        if not asked and self._looked is not None and now - self._looked < EVERY_SECONDS:
            return []
        self._looked = now
        free = self._free()
        if free is None:
            return []
        if self._waits is not None:
            return self._go_on(free) if free >= self._waits else []
        return self._compare(free)

    def _compare(self, free: int) -> list[Finding]:
        if free < FULL:
            return [self._full(free)]
        for save in sorted(self._saves(), key=lambda save: not save.is_near):
            if free >= save.size + MARGIN:
                continue
            if save.is_near:
                return [self._low(save, free, "pause")]
            if save.what not in self._told:
                self._told.add(save.what)
                return [self._low(save, free, "say")]
        return []

    def _low(self, save: Save, free: int, action: Action) -> Finding:
        needs = save.size + MARGIN
        text = (
            f"the disk has room for {sizes.said(free)}, but {save.what} needs "
            f"{sizes.said(save.size)}"
        )
        hint = self._hint(needs - free)
        if action == "pause":
            text, hint = self._pause(text, hint, needs)
        return Finding(Stop("disk-low", text, "", hint, self._at().newest()), action)

    def _full(self, free: int) -> Finding:
        text = f"the disk is full (room for {sizes.said(free)})"
        text, hint = self._pause(text, self._hint(MARGIN - free), MARGIN)
        return Finding(Stop("disk-low", text, "", hint, self._at().newest()), "pause")

    def _hint(self, missing: int) -> str:
        return f"Free {sizes.said(missing)} on the disk of {self._at().run or 'the run'}."

    def _pause(self, text: str, hint: str, needs: int) -> tuple[str, str]:
        """Pause the run until `needs` bytes are free; return both texts with that."""
        self._waits = needs
        return f"paused: {text}", f"{hint} The run then goes on by itself; Ctrl-C stops it."

    def _go_on(self, free: int) -> list[Finding]:
        self._waits = None
        text = f"there is room on the disk again ({sizes.said(free)}): the run goes on"
        return [Finding(Stop("disk-room", text), "go on")]
