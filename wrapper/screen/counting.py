"""Progress of reading many files: how many a second, on a terminal; nothing elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

SOON = 0.5  # seconds: what is done by then needs no bar


class Counting:
    """A bar on stderr for each thing that is read, from the second call on."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn())
        rate = TextColumn("{task.fields[rate]}")
        self._bar = Progress(*columns, rate, console=self.console, transient=True)
        self._tasks: dict[str, tuple[TaskID, float]] = {}
        self._begun = time.monotonic()

    def __enter__(self) -> Counting:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def tell(self, what: str, done: int, count: int) -> None:
        """Show that `done` of `count` are read."""
        now = time.monotonic()
        if not self.console.is_terminal or now - self._begun < SOON:
            return
        if not self._bar.live.is_started:
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=count, rate=""), now
        task, since = self._tasks[what]
        passed = now - since
        rate = f"{done / passed:.0f} files a second" if passed > 1 else ""
        self._bar.update(task, completed=done, total=count, rate=rate)
