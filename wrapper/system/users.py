"""Which processes use a folder, so that it is not deleted under them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from kohya_presets.errors import UserError

RUN, LOCK = "run.toml", ".lock"  # of a run's folder: its record, and what its holder keeps open


def of(folder: Path) -> list[psutil.Process]:
    """Return the processes that run from `folder`, or carry out a run that needs it."""
    places = {str(folder), str(folder.resolve())}
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _uses(p, places)]


def require_none(folder: Path) -> None:
    """Raise UserError if a process uses `folder`."""
    if used := of(folder):
        raise UserError(
            f"{folder} is in use by the process {used[0].pid} ({used[0].name()})",
            hint="Wait until it has finished, or stop it. Nothing was deleted.",
        )


def _uses(process: psutil.Process, places: set[str]) -> bool:
    try:
        words = process.cmdline()
        if any(_is_inside(word, place) for word in words for place in places):
            return True
        # Between two stages only kohya-presets itself is there, which holds the run's folder.
        ours = any("kohya" in word.lower() for word in words)
        return ours and any(place in text for text in _records(process) for place in places)
    except (psutil.Error, OSError):
        return False  # not ours to read, so not ours


def _is_inside(word: str, place: str) -> bool:
    """Return whether a word of a command line is a path in `place`, or an option's value is."""
    path = os.path.normcase(word.partition("=")[2] if word.startswith("-") else word)
    return path.startswith(os.path.normcase(place) + os.sep)


def _records(process: psutil.Process) -> Iterator[str]:
    for opened in process.open_files():
        held = Path(opened.path)
        record = held.with_name(RUN)
        if held.name == LOCK and record.is_file():
            # As TOML writes a backslash of Windows.
            yield record.read_text(encoding="utf-8", errors="replace").replace("\\\\", "\\")
