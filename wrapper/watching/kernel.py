"""Processes that the kernel killed because the machine ran out of memory.

It tells nobody but its own counters: a killed process has written nothing, and its exit code says
only that it was killed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from wrapper.system import sizes
from wrapper.watching import log_end, remedies
from wrapper.watching.findings import Stop
from wrapper.watching.situation import Situation

KILLED = (-9, 137)  # exit codes: as Python counts a signal, and as a shell does
# accelerate and torchrun report what their own child died of; torch, its data loader's.
_WORDS = re.compile(
    r"died with <Signals\.SIGKILL: 9>|exitcode\s*: -9\b|is killed by signal: Killed|"
    r"(?m:^(?:\S+: line \d+: )?\s*(?:\d+ )?Killed\b)"
)


class Counts(NamedTuple):
    """How many processes the kernel has killed for memory: of all, and of our own group.

    None where that cannot be read: not on Linux, or an old kernel.
    """

    machine: int | None = None
    group: int | None = None

    def rose(self, before: Counts) -> bool:
        """Return whether there are more of them than `before`."""
        pairs = zip(self, before, strict=True)
        return any(now is not None and was is not None and now > was for now, was in pairs)


class Lowest:
    """The least main memory that was free while a run was watched, in bytes."""

    def __init__(self) -> None:
        self.bytes: int | None = None
        self.total = 0

    def look(self) -> None:
        """Measure now."""
        memory = psutil.virtual_memory()
        free, self.total = memory.available, memory.total
        if (group := limit()) is not None and group.most < self.total:
            free, self.total = min(free, group.free), group.most
        self.bytes = free if self.bytes is None else min(self.bytes, free)

    def __str__(self) -> str:
        if self.bytes is None:
            return ""
        return f"at the lowest, {sizes.said(self.bytes)} of {sizes.said(self.total)} were free"


def counts(root: Path = Path("/")) -> Counts:
    """Return what the kernel has counted so far; `root` is where its files are."""
    group = next((own for own in map(_first_count, _groups(root)) if own is not None), None)
    return Counts(_count(root / "proc/vmstat"), group)


def stop(
    returncode: int | None,
    lines: Sequence[str],
    at: Situation,
    *,
    before: Counts,
    after: Counts,
    lowest: str = "",
) -> Stop | None:
    """Return why a process was killed that we did not kill; None where it was not killed."""
    said = "\n".join([*log_end.raised(lines), *log_end.last(lines)])
    if returncode not in KILLED and not _WORDS.search(said):
        return None
    hint = remedies.memory(at)
    if after.rose(before):
        what = "killed by the kernel's memory killer: the machine ran out of main memory (RAM)"
        return Stop("killed-memory", what, lowest, hint, at.newest())
    often = "most often the machine ran out of main memory (RAM)"
    cause = f"{often}; {lowest}" if lowest else often
    return Stop("killed", "killed (signal 9)", cause, hint, at.newest())


def _groups(root: Path) -> list[Path]:
    """Return the folders of our control group that may be there, of both versions of groups.

    In a container it is often seen at the top.
    """
    top = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return [top]
    found = []
    for line in lines:
        _, controllers, own = [*line.split(":", 2), "", ""][:3]
        if controllers in ("", "memory"):
            at = top / controllers
            found += [at / own.strip().lstrip("/"), at]
    return found


def _first_count(group: Path) -> int | None:
    """Return how many processes of a group were killed: in version 2, else in version 1."""
    second = _count(group / "memory.events")
    return _count(group / "memory.oom_control") if second is None else second


class Limit(NamedTuple):
    """How much memory a container may use, and how much of it is free, in bytes."""

    most: int
    free: int


def limit(root: Path = Path("/")) -> Limit | None:
    """Return the limit of our control group; None without one.

    What files left in memory counts as used there, but the kernel takes it back when asked.
    """
    for group in _groups(root):
        for most, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            try:
                total = int((group / most).read_text("utf-8"))
                taken = int((group / used).read_text("utf-8"))
            except (OSError, ValueError):  # no such file, or "max"
                continue
            taken -= _count(group / "memory.stat", cached) or 0
            return Limit(total, max(0, total - taken))
    return None


def _count(file: Path, word: str = "oom_kill") -> int | None:
    """Return the number after a word in one of the kernel's files."""
    try:
        words = [line.split() for line in file.read_text("utf-8").splitlines()]
    except OSError:
        return None
    return next((int(pair[1]) for pair in words if len(pair) == 2 and pair[0] == word), None)
