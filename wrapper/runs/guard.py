"""Guard one stage of a run: a watch that knows the run's settings, states and disk, and its news.

guard = Guard(run, stage, say, states=..., notices=...)
outcome = launch.run(planned, on_line=guard.line, on_tick=guard.tick)
stop = guard.why(outcome)
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kohya_presets.sdscripts import scripts
from kohya_presets.training.settings import Settings
from wrapper.runs import failures
from wrapper.runs.manifest import Run, Stage
from wrapper.screen import progress
from wrapper.screen.progress import Step
from wrapper.system.launch import Outcome, Processes
from wrapper.watching.findings import Kept, Stop
from wrapper.watching.live import saves
from wrapper.watching.live.room import Save
from wrapper.watching.notify import Notices
from wrapper.watching.situation import Situation
from wrapper.watching.watch import Watch

EVENTS = Path("logs/tensorboard")  # of the run
CLOCK = "state_every_minutes"  # option of the patch `resume`
STATE_TO_MODEL = 3  # with AdamW, a state holds the weights and two numbers more for each


class Guard:
    """Takes the lines and the time of one stage; `states` lists its whole states when asked.

    `model_bytes` and `state_bytes` are as planned; without, the sizes of those there are already.
    """

    def __init__(
        self,
        run: Run,
        stage: Stage,
        say: Callable[[str], None],
        *,
        states: Callable[[], Sequence[Kept]] = lambda: (),
        notices: Notices | None = None,
        model_bytes: int = 0,
        state_bytes: int = 0,
    ) -> None:
        self._model_bytes, self._state_bytes = model_bytes, state_bytes
        self._run, self._stage, self._states = run, stage, states
        self._notices = notices or Notices(None, run.name, say)
        self._settings = failures.of_run(run)
        trains = stage.name == "train"
        # Whether the run stands still because we want it to: set by whoever lets it wait.
        self.waits: Callable[[], bool] = lambda: False
        self._watch = Watch(
            self._situation,
            say,
            events=run.folder / EVENTS if trains else None,
            saves=self._saves if trains else lambda step: (),
            free=self._free,
            waits=lambda: self.waits(),
            on_finding=lambda found: self._notices.send("failure", str(found)),
        )

    def line(self, text: str) -> None:
        """Take a line of the stage's log."""
        self._watch.line(text)
        step = progress.read(text) if progress.TRAINING in text else None
        if step is not None:
            left = progress.clock(step.left) if step.left is not None else ""
            self._notices.step(self._stage.name, step.done, step.total, left)

    def tick(self, processes: Processes) -> None:
        """Take the time."""
        self._watch.tick(processes)

    @property
    def is_paused(self) -> bool:
        """Whether the run is to stand still until there is room on the disk."""
        return self._watch.is_paused

    def why(self, outcome: Outcome) -> Stop | None:
        """Return why the stage failed; None where nothing known says so. Ask only if it did."""
        return self._watch.why(outcome.returncode, outcome.tail)

    def _situation(self) -> Situation:
        return failures.situation(self._run, self._stage, self._states(), self._settings)

    def _free(self) -> int | None:
        try:
            return shutil.disk_usage(self._run.folder).free
        except OSError:
            return None

    def _saves(self, step: Step | None) -> Sequence[Save]:
        if self._settings is None:
            return ()
        known, model = self._newest(), self._model_bytes or _model_size(self._run, self._stage)
        state = known.size if known else self._state_bytes or STATE_TO_MODEL * model
        found = saves.coming(self._settings, step, model=model, state=state)
        return (*found, *_by_the_clock(self._settings, known, state))

    def _newest(self) -> Kept | None:
        return max(self._states(), key=lambda state: state.saved, default=None)


def _by_the_clock(settings: Settings, newest: Kept | None, size: int) -> Sequence[Save]:
    """Return the state that the patch `resume` writes next; () without one to count from."""
    minutes = settings.train(CLOCK)
    if not minutes or newest is None:
        return ()
    due = newest.saved + float(minutes) * 60 - time.time()
    return (Save("the next state", size, seconds=due),)


def _model_size(run: Run, stage: Stage) -> int:
    """Return the bytes of what this stage saves: of one there is, else of its base; 0: unknown."""
    base = Path(str(run.facts.get("base", {}).get("file", "")))
    likes = () if stage.expects == scripts.LORA else (base,)  # a LoRA is much smaller
    for file in (*sorted(stage.makes.parent.glob("*.safetensors")), *likes):
        try:
            if file.is_file():
                size: int = file.stat().st_size
                return size
        except OSError:
            continue
    return 0
