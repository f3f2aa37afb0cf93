"""A training that makes no step for ten times the usual time: it may hang, so say so."""

from __future__ import annotations

import re
import statistics
from collections import deque
from collections.abc import Callable

from wrapper.screen import progress
from wrapper.screen.progress import Step
from wrapper.watching.findings import Finding, Stop
from wrapper.watching.situation import Situation

TIMES = 10  # the usual time of a step
LEAST_SECONDS = 300.0  # with fast steps, a page of a busy disk takes longer than ten of them
SLOW_SECONDS = 1800.0  # 7 GB to a slow network drive; a validation that prints nothing
SLEPT_SECONDS = 60.0  # between two ticks: the machine slept, or this program was stopped
ENOUGH = 10  # intervals, to know what is usual
# What sd-scripts and the patch `resume` print before something other than a step.
_SLOW = re.compile(
    r"sav(e|ing)\b|saved|state|generating sample|sample_images|caching|validation|upload|"
    r"removing old|optimizer set to",
    re.IGNORECASE,
)


class Stalls:
    """Takes every line, every step and every tick of the clock; all times in seconds."""

    def __init__(self, at: Callable[[], Situation]) -> None:
        self._at = at
        self._intervals: deque[float] = deque(maxlen=200)
        self._longest_slow = 0.0
        self._step: Step | None = None
        self._step_at = self._sign_at = 0.0
        self._ticked: float | None = None
        self._slow = self._told = False

    @property
    def usual(self) -> float | None:
        """The usual seconds of a step, once that is known."""
        return statistics.median(self._intervals) if len(self._intervals) >= ENOUGH else None

    def line(self, now: float, text: str, step: Step | None) -> list[Finding]:
        """Take a line; `step` is the state of the bar of training in it."""
        self._sign_at = now
        if step is None:
            self._slow = self._slow or bool(progress.read(text) is None and _SLOW.search(text))
            return []
        if self._step is None or step.done < self._step.done:
            self._step, self._step_at = step, now  # a first step, or another process
        elif step.done > self._step.done:
            return self._stepped(now, step)
        return []

    def tick(self, now: float, *, paused: bool = False) -> list[Finding]:
        """Take the time, at least every few seconds; `paused` is a run that stands still for us."""
        passed = now - self._ticked if self._ticked is not None else 0.0
        self._ticked = now
        if paused or passed > SLEPT_SECONDS:  # does not count
            self._step_at += passed
            self._sign_at += passed
        if paused or self.usual is None or self._told or self._step is None:
            return []
        if self._step.done >= self._step.total:
            return []  # the last step is done: what follows is saving
        since = now - max(self._step_at, self._sign_at)
        if since <= self._limit(self.usual):
            return []
        self._told = True
        return [Finding(self._stall(now - self._step_at, self.usual))]

    def _stepped(self, now: float, step: Step) -> list[Finding]:
        assert self._step is not None
        seconds, done = now - self._step_at, step.done - self._step.done
        if self._slow:
            self._longest_slow = max(self._longest_slow, seconds)
        elif self._step.done > 0:  # the first step also loads kernels
            self._intervals.append(seconds / done)
        told = self._told
        self._step, self._step_at, self._slow, self._told = step, now, False, False
        if not told:
            return []
        after = progress.clock(seconds)
        return [Finding(Stop("stall-over", f"training goes on after {after} without a step"))]

    def _limit(self, usual: float) -> float:
        limit = max(TIMES * usual, LEAST_SECONDS)
        return max(limit, SLOW_SECONDS, 3 * self._longest_slow) if self._slow else limit

    def _stall(self, seconds: float, usual: float) -> Stop:
        at = self._at()
        return Stop(
            "stall",
            f"no step for {progress.clock(seconds)}; one usually takes {usual:.3g} s",
            "the GPU, the disk or a network drive hangs, or main memory is used up",
            "`nvidia-smi` shows whether the GPU works. If nothing moves, press Ctrl-C, then "
            f"continue with {at.resume}.",
            at.newest(),
        )
