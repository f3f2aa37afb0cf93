"""Progress of a stage, read from the bars that sd-scripts draws with tqdm.

A bar of tqdm reads `steps:  50%|█████     | 6/12 [00:01<00:01,  4.50it/s, avr_loss=0.246]`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

PLAIN_EVERY_SECONDS = 20.0  # between lines where there is no terminal to redraw
TRAINING = "steps:"  # how the bar of training begins; caching and sampling draw others
OnLine = Callable[[str], None]
News = Callable[[], str]

_BAR = re.compile(
    r"(?P<done>\d+)/(?P<total>\d+)\s+"
    r"\[(?P<elapsed>[\d:]+)<(?P<left>[\d:?]+),\s*(?P<rate>[\d.?]+)\s*(?P<unit>it/s|s/it)"
    r"(?:,\s*(?P<rest>[^\]]*))?\]"
)
_LOSS = re.compile(r"(?:avr_|average )?loss=(?P<loss>[\d.eE+-]+|nan|inf)")


@dataclass(frozen=True)
class Step:
    """One state of a bar: `rate` in iterations a second, `left` in seconds."""

    done: int
    total: int
    rate: float | None = None
    left: float | None = None
    loss: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.done}/{self.total}"]
        if self.rate is not None:
            fast = self.rate >= 1 or self.rate == 0
            parts.append(f"{self.rate:.2f} it/s" if fast else f"{1 / self.rate:.1f} s/it")
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4g}")
        if self.left is not None:
            parts.append(f"{clock(self.left)} left")
        return "  ".join(parts)


def read(line: str) -> Step | None:
    """Return the state of the bar in `line`, or None when it holds none."""
    bar = _BAR.search(line)
    if bar is None:
        return None
    rate = None if "?" in bar["rate"] else float(bar["rate"])
    if rate and bar["unit"] == "s/it":
        rate = 1 / rate
    loss = _LOSS.search(bar["rest"] or "")
    return Step(
        int(bar["done"]),
        int(bar["total"]),
        rate,
        None if "?" in bar["left"] else _seconds(bar["left"]),
        float(loss["loss"]) if loss else None,
    )


def clock(seconds: float) -> str:
    """Return "0:07", "12:34" or "1:02:03"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def shown(title: str, console: Console, news: News = lambda: "") -> Iterator[OnLine]:
    """Yield a function that takes every line of a stage and shows its progress.

    `news` returns what stands beside the bar.

    On a terminal a bar is redrawn; elsewhere a plain line comes every 20 seconds and at the end.
    """
    if console.is_terminal:
        with _bar(title, console, news) as on_line:
            yield on_line
        return
    plain = _Plain(title, console, news)
    try:
        yield plain.line
    finally:
        plain.finish()


@contextmanager
def _bar(title: str, console: Console, news: News) -> Iterator[OnLine]:
    columns = (
        TextColumn("{task.description:>9}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(title, total=None, state="starting")

        def on_line(line: str) -> None:
            if step := read(line):
                state = f"{step}  {news()}".rstrip()
                bars.update(task, total=step.total, completed=step.done, state=state)

        yield on_line


class _Plain:
    def __init__(self, title: str, console: Console, news: News) -> None:
        self.title, self.console, self.news = title, console, news
        self.last: Step | None = None
        self.printed: Step | None = None
        self.at = time.monotonic()

    def line(self, text: str) -> None:
        if step := read(text):
            self.last = step
            if time.monotonic() - self.at >= PLAIN_EVERY_SECONDS:
                self._print()

    def finish(self) -> None:
        if self.last is not None and self.last != self.printed:
            self._print()

    def _print(self) -> None:
        self.at, self.printed = time.monotonic(), self.last
        text = f"{self.title:>9}  {self.last}  {self.news()}".rstrip()
        self.console.print(text, markup=False, highlight=False)


def _seconds(text: str) -> float:
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    return float(total)
