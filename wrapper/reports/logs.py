"""What the log of a training says: its attempts, its bars, its warnings, what our patches print."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kohya_presets import secrets
from wrapper.reports.events import Scalar, merged
from wrapper.runs.kept import states
from wrapper.screen import progress
from wrapper.watching import log_end

LARGEST = 2**25  # bytes that are read of a log, from its end: bars are redrawn for hours
LONGEST = 300  # letters of a line
MOST = 40  # different warnings
_BEGUN = re.compile(r"(\d{4}-\d\d-\d\dT[\d:]+[+-][\d:]+) kohya-presets: (\w+), scripts in ")
# As rich writes them, with the place in the source at the end, or the standard library.
_WARNING = re.compile(r"^(?:[\d-]+ [\d:,]+)?\s*WARNING\s+(.*?)(?:\s+\w+\.py:\d+)?\s*$")
_PYTHON = re.compile(r"\b(\w*Warning): (.*)")


@dataclass(frozen=True)
class Read:
    """What is in a log. `begun` are the starts of attempts, in seconds since 1970."""

    begun: tuple[float, ...] = ()
    losses: tuple[Scalar, ...] = ()  # the average that the bar shows
    warnings: tuple[tuple[str, int], ...] = ()  # each with how often it was said
    said: tuple[str, ...] = ()  # by our patches
    total: int = 0  # steps that the last bar counts to
    done: int = 0
    cut: bool = field(default=False, compare=False)  # its beginning was not read


def read(file: Path) -> Read:
    """Return what is in a log; nothing where there is none."""
    try:
        with file.open("rb") as opened:
            size = file.stat().st_size
            opened.seek(max(0, size - LARGEST))
            text = opened.read().decode("utf-8", "replace")
    except OSError:
        return Read()
    found = of(log_end.split(text))
    return found if size <= LARGEST else Read(**{**vars(found), "cut": True})


def of(lines: Sequence[str]) -> Read:
    """Return what lines of a log say."""
    begun: list[float] = []
    attempts: list[dict[int, Scalar]] = [{}]
    warnings: Counter[str] = Counter()
    said: list[str] = []
    total = done = 0
    for line in lines:
        # It may stand behind the last bar of the attempt before, which ended without a line feed.
        start = _BEGUN.search(line) if states.SAYS in line else None
        if line.startswith(progress.TRAINING):
            step = progress.read(line)
            if step is not None:
                total, done = step.total, step.done
                if step.loss is not None:
                    attempts[-1][step.done] = Scalar(step.done, step.loss, 0.0)
        if start is not None:
            begun.append(_seconds(start[1]))
            attempts.append({})
        elif line.startswith(states.SAYS):
            said.append(_clean(line.removeprefix(states.SAYS)))
        elif warned := _warned(line):
            warnings[_clean(warned)] += 1
    losses = merged([*attempt.values()] for attempt in attempts)
    most = tuple(warnings.most_common(MOST))
    return Read(tuple(begun), tuple(losses), most, tuple(said), total, done)


def _warned(line: str) -> str:
    if found := _WARNING.match(line):
        return found[1]
    if found := _PYTHON.search(line):
        return f"{found[1]}: {found[2]}"
    return ""


def _clean(line: str) -> str:
    return secrets.masked(line.strip())[:LONGEST]


def _seconds(text: str) -> float:
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
