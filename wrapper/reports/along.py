"""A watcher beside a run that goes on: it keeps what is said, and writes the report at every save.

Saves are noticed by the files that appear, whatever a release prints. Nothing here may stop or
fail a run: a report that cannot be written is said once, and the run goes on.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from kohya_presets.errors import UserError
from wrapper.environments import gpu
from wrapper.reports import page, said, samples
from wrapper.reports.said import Memory
from wrapper.runs.kept import states
from wrapper.runs.watcher import Watcher
from wrapper.system.launch import OnLine

POLL_SECONDS = 5.0  # between two looks at the files
MEMORY_SECONDS = 30.0  # between two looks at the GPU
REST = 20  # times as long as the last report took, before the next: 5 % of a core at most
PATIENCE_SECONDS = 15.0  # for one that is being written when the run ends
SAVED_IN = ("model", "lora", samples.FOLDER, samples.WHILE_TRAINING, states.FOLDER)

Signature = frozenset[tuple[str, int]]


@contextlib.contextmanager
def kept(
    run: Path, watcher: Watcher, *, rate: float | None = None, before: Sequence[str] = ()
) -> Iterator[Watcher]:
    """Yield a watcher that passes everything on to `watcher`, while the run in a folder goes on.

    `before` is what was warned of before the run began. On leaving, the report is written a last
    time, with how the run ended.
    """
    beside = Along(run, watcher, rate, before=before)
    try:
        yield beside
    except UserError as error:
        beside.keep("\n".join(filter(None, (str(error), error.hint and f"hint: {error.hint}"))))
        raise
    except KeyboardInterrupt:
        beside.keep("interrupted")
        raise
    finally:
        beside.close()


class Along:
    """Begins with the first thing that the run says or starts: a run that is busy says nothing."""

    def __init__(
        self,
        run: Path,
        watcher: Watcher,
        rate: float | None,
        *,
        before: Sequence[str] = (),
        poll_seconds: float = POLL_SECONDS,
        memory: Callable[[], tuple[float, float] | None] = gpu.memory,
    ) -> None:
        self._run, self._watcher, self._rate = run, watcher, rate
        self._before, self._poll, self._memory = tuple(before), poll_seconds, memory
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()

    def stage(
        self, name: str, news: Callable[[], str] = lambda: ""
    ) -> AbstractContextManager[OnLine]:
        """Pass it on."""
        self._begin()
        return self._watcher.stage(name, news)

    def say(self, text: str) -> None:
        """Pass it on, and keep it."""
        self._begin()
        self._watcher.say(text)
        self.keep(text)

    def keep(self, text: str) -> None:
        """Add what was said to the run's own log, once it has begun."""
        if self._thread is not None:
            with self._harmless("what is said cannot be kept"):
                said.say(self._run, text, datetime.datetime.now(datetime.timezone.utc))

    def close(self) -> None:
        """Write the last report, if the run has begun."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join(PATIENCE_SECONDS)
            self._thread = None
            self._write()

    def _begin(self) -> None:
        if self._thread is None and not self._ended.is_set():
            self._thread = threading.Thread(target=self._work, name="report", daemon=True)
            for text in self._before:
                self.keep(text)
            self._thread.start()

    def _work(self) -> None:
        seen = written = saved(self._run)
        asked, not_before = 0.0, 0.0
        while not self._ended.wait(self._poll):
            now = time.monotonic()
            if now - asked >= MEMORY_SECONDS and asked != float("inf"):
                asked = now if self._remember() else float("inf")  # no GPU now, none later
            before, seen = seen, saved(self._run)
            # Two looks alike: what is written for a minute is not told of while it grows.
            if seen == before and seen != written and now >= not_before:
                written = seen
                self._write()
                not_before = time.monotonic() + REST * (time.monotonic() - now)

    def _remember(self) -> bool:
        with self._harmless("the GPU's memory cannot be kept"):
            if found := self._memory():
                said.remember(self._run, Memory(time.time(), *found))
                return True
        return False

    def _write(self) -> None:
        with self._harmless("the report cannot be written"):
            page.write(self._run, rate=self._rate)

    @contextlib.contextmanager
    def _harmless(self, what: str) -> Iterator[None]:
        """Say a failure once instead of raising it."""
        try:
            yield
        except Exception as error:  # whatever it is: hours of training go on
            if what not in self._told:
                self._told.add(what)
                why = (
                    str(error)
                    if isinstance(error, UserError)
                    else f"{type(error).__name__}: {error}"
                )
                self._watcher.say(f"report: {what} ({why}); the run goes on")


def saved(run: Path) -> Signature:
    """Return what tells that something was saved: the files in the places for that, by size."""
    return frozenset(_files(run))


def _files(run: Path) -> Iterator[tuple[str, int]]:
    for name in SAVED_IN:
        try:
            entries = [*(run / name).iterdir()]
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):  # moved meanwhile
                size = entry.stat().st_size if entry.is_file() else 0
                yield f"{name}/{entry.name}", size
