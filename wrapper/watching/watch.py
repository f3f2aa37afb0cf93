"""Watch one stage of a run: say what is found, pause it or end it, and know why it failed.

watch = Watch(at, watcher.say, ...)
outcome = launch.run(planned, on_line=watch.line, on_tick=watch.tick)
stop = watch.why(outcome.returncode, outcome.tail)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from wrapper.screen.progress import Step
from wrapper.watching import causes, kernel, pauses
from wrapper.watching.events import Losses
from wrapper.watching.findings import Finding, Stop
from wrapper.watching.kernel import Lowest
from wrapper.watching.live.room import Save
from wrapper.watching.live.training import Training
from wrapper.watching.pauses import Processes
from wrapper.watching.situation import Situation

MEMORY_SECONDS = 2.0  # between two looks at main memory
BEGIN_SECONDS = 10.0  # within which a run is found that an earlier watch has paused
EVENTS_SECONDS = 10.0  # and at the event files, which are written every two minutes

Heard = Callable[[Finding], None]


class Watch:
    """Takes the lines and the time of one stage, and acts on its processes.

    `at` is asked for every finding, so that it names the newest state. `events` is the folder with
    TensorBoard's files. `on_finding` is told everything that is also said. `waits` is whether the
    run stands still because somebody else wants it to.
    """

    def __init__(
        self,
        at: Callable[[], Situation],
        say: Callable[[str], None],
        *,
        events: Path | None = None,
        saves: Callable[[Step | None], Sequence[Save]] = lambda step: (),
        free: Callable[[], int | None] = lambda: None,
        on_finding: Heard = lambda finding: None,
        waits: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ended: Stop | None = None  # why this watch ended the run
        self._at, self._say, self._on_finding, self._clock = at, say, on_finding, clock
        self._training = Training(at, saves=saves, free=free)
        self._losses = Losses(events) if events else None
        self._kills, self._lowest = kernel.counts(), Lowest()
        self._next_memory = self._next_events = 0.0
        self._waiting: list[Finding] = []  # of lines: acted on with the next tick
        self._began: float | None = None
        self._waits = waits

    @property
    def is_paused(self) -> bool:
        """Whether the run is to stand still until there is room on the disk."""
        return self._training.is_paused

    def line(self, text: str) -> None:
        """Take a line of the stage's log."""
        self._waiting += self._training.line(self._clock(), text)

    def tick(self, processes: Processes) -> None:
        """Take the time; `processes` gives those of the stage, with all that they started."""
        now = self._clock()
        if now >= self._next_memory:
            self._next_memory = now + MEMORY_SECONDS
            self._lowest.look()
            self._begin(now, processes)
        found = [*self._waiting, *self._training.tick(now), *self._exact(now)]
        self._waiting = []
        for finding in found if self.ended is None else ():
            self._act(finding, processes)

    def why(self, returncode: int | None, tail: Sequence[str]) -> Stop | None:
        """Return why the stage failed; None where nothing known says so."""
        if self.ended:
            return self.ended
        at = self._at()
        killed = kernel.stop(
            returncode,
            tail,
            at,
            before=self._kills,
            after=kernel.counts(),
            lowest=str(self._lowest),
        )
        return killed or causes.of(tail, at)

    def _begin(self, now: float, processes: Processes) -> None:
        """Let a run go on that an earlier watch has paused: that one was killed meanwhile."""
        self._began = now if self._began is None else self._began
        if now - self._began > BEGIN_SECONDS or self._training.is_paused or self._waits():
            return
        if pauses.stand_still(standing := processes()):
            pauses.go_on(standing)
            self._say("the run was paused, and goes on")

    def _exact(self, now: float) -> list[Finding]:
        if self._losses is None or now < self._next_events:
            return []
        self._next_events = now + EVENTS_SECONDS
        return [f for loss in self._losses.new() for f in self._training.loss(*loss)]

    def _act(self, finding: Finding, processes: Processes) -> None:
        if finding.action == "pause" and not pauses.pause(processes()):
            self._say("this system cannot pause the run: it fails when it saves without room")
        if finding.action == "go on":
            pauses.go_on(processes())
        elif finding.action == "end":
            self.ended = finding.stop
            pauses.end(processes())
        self._say(str(finding))
        self._on_finding(finding)
