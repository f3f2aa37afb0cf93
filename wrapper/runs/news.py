"""What stands beside a stage's bar: epoch, newest state, the GPU's load, money."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from wrapper.environments import gpu
from wrapper.runs.kept import states
from wrapper.runs.manifest import Run, Stage
from wrapper.screen import progress

EVERY_SECONDS = 10.0  # between two looks at the GPU and the states
_EPOCH = re.compile(r"epoch (\d+/\d+)")


class News:
    """Takes the lines of a stage; called, it returns what is new, as a person reads it.

    `rate` is what the machine costs in an hour, in any currency.
    """

    def __init__(
        self,
        run: Run,
        stage: Stage,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[], str] = gpu.load,
    ) -> None:
        self._run, self._rate, self._clock, self._load = run, rate, clock, load
        self._before = sum(each.seconds or 0 for each in run.stages)
        self._started, self._looked = clock(), -EVERY_SECONDS
        self._trains = stage.name == "train"
        self._epoch = self._seen = ""
        self._left: float | None = None

    def line(self, text: str) -> None:
        """Take a line of the log."""
        if self._trains and (found := _EPOCH.match(text)):
            self._epoch = f"epoch {found[1]}"
        elif step := progress.read(text):
            self._left = step.left

    def __call__(self) -> str:
        """Return it on one line."""
        now = self._clock()
        if self._trains and now - self._looked >= EVERY_SECONDS:
            self._looked, self._seen = now, "  ".join(filter(None, (self._state(), self._load())))
        return "  ".join(filter(None, (self._epoch, self._seen, self._money(now))))

    def _state(self) -> str:
        newest = states.newest(self._run.folder)
        if newest is None:
            return ""
        ago = progress.clock(max(0, time.time() - newest.saved))
        return f"state of step {newest.step} {ago} ago"

    def _money(self, now: float) -> str:
        if self._rate is None:
            return ""
        so_far = (self._before + now - self._started) / 3600 * self._rate
        left = f", {self._left / 3600 * self._rate:.2f} to go" if self._left is not None else ""
        return f"cost {so_far:.2f}{left}"
