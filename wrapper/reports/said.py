"""What kohya-presets itself said of a run, and the GPU memory it saw: two files in `logs/`.

A terminal forgets. `said.log` has a line for each: when, and what. `gpu.csv` has the memory.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kohya_presets import secrets

SAID, MEMORY = "said.log", "gpu.csv"
FOLDER = "logs"
_HEAD = "seconds,used_mib,total_mib\n"
LONGEST = 2000  # letters of a line that is read
MOST = 500  # lines that are read, from the end


class Said(NamedTuple):
    """A line, and when it was said, in seconds since 1970."""

    at: float
    text: str


class Memory(NamedTuple):
    """GPU memory in MiB at a time, in seconds since 1970."""

    at: float
    used: float
    total: float


def say(run: Path, text: str, now: datetime.datetime) -> None:
    """Add a line; of several, the others are indented below it.

    Raises:
        OSError: it cannot be written.
    """
    lines = secrets.masked(text).splitlines() or [""]
    words = "\n    ".join(lines)
    _add(run / FOLDER / SAID, f"{now.isoformat(timespec='seconds')} {words}\n")


def remember(run: Path, memory: Memory) -> None:
    """Add what the GPU's memory is.

    Raises:
        OSError: it cannot be written.
    """
    file = run / FOLDER / MEMORY
    head = "" if file.exists() else _HEAD
    _add(file, f"{head}{memory.at:.0f},{memory.used:g},{memory.total:g}\n")


def lines(run: Path) -> list[Said]:
    """Return what was said, the first first."""
    found: list[Said] = []
    for line in _lines(run / FOLDER / SAID):
        time, _, text = line.partition(" ")
        at = None if line.startswith(" ") else _seconds(time)
        if at is not None:
            found.append(Said(at, text[:LONGEST]))
        elif found:
            found[-1] = Said(found[-1].at, f"{found[-1].text}\n{line.strip()}"[:LONGEST])
    return found[-MOST:]


def memory(run: Path) -> list[Memory]:
    """Return the GPU memory that was seen, the first first."""
    found = []
    for line in _lines(run / FOLDER / MEMORY):
        try:
            seen = Memory(*map(float, line.split(",")))
        except (TypeError, ValueError):  # its head, or half a line
            continue
        if all(map(math.isfinite, seen)):
            found.append(seen)
    return found


def _add(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as opened:
        opened.write(text)


def _lines(file: Path) -> Iterator[str]:
    try:
        yield from file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return


def _seconds(text: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
