"""What the tool says while it works, on stderr: one voice for every command."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from kohya_presets import secrets
from kohya_presets.problems import Problem, paragraphs
from wrapper.screen import progress
from wrapper.system.launch import OnLine

STYLES = {"error": "red", "warning": "yellow"}


class Talk:
    """Talk on stderr, so that stdout stays for data; a bar on a terminal, lines elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        signal.signal(signal.SIGTERM, _as_ctrl_c)
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self.warned: list[str] = []  # for whoever keeps it: a terminal forgets

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(secrets.masked(text), markup=False)

    def warn(self, text: str) -> None:
        """Print one line as a warning."""
        self.warned.append(f"warning: {text}")
        self.console.print(f"warning: {secrets.masked(text)}", style="yellow", markup=False)

    def problems(self, found: Iterable[Problem], *, advice: str = "") -> None:
        """Print each problem with its hint; of advice, with `advice`, how to see it."""
        for text in paragraphs(found, advice=advice):
            style = STYLES.get(text.partition(":")[0])
            self.warned += [text] if style else []
            self.console.print(text, style=style, markup=False)

    @contextmanager
    def stage(self, name: str, news: Callable[[], str] = lambda: "") -> Iterator[OnLine]:
        """Show the progress of the stage called `name` with its `news`, and how long it took."""
        started = time.monotonic()
        with progress.shown(name, self.console, news) as on_line:
            yield on_line
        self.say(f"{name:>9}  finished in {time.monotonic() - started:.1f} s")

    @contextmanager
    def lines(self, title: str) -> Iterator[OnLine]:
        """Show what pip does: one redrawn line on a terminal, a line for each package elsewhere."""
        if self.console.is_terminal:
            with self.console.status(title) as status:
                yield lambda line: status.update(f"{title}: {line[:100]}")
            return

        def on_line(line: str) -> None:
            if line.startswith(
                ("Collecting", "Installing", "Successfully", "ERROR", "  Downloading")
            ):
                self.say(f"{title}: {line[:160].strip()}")

        yield on_line


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # `kill`, or a machine that is shut down: stop the trainer too
