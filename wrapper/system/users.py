"""Which processes use a folder, so that it is not deleted or changed under them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from kohya_presets.errors import UserError
from wrapper.system import locks
from wrapper.system.launch import RUN_MARK

_held: dict[Path, int] = {}

RUN, LOCK = "run.toml", ".lock"  # of a run's folder: its record, and what its holder keeps open


def of(folder: Path) -> list[psutil.Process]:
    """Return the processes that run from `folder`, prepare a run in it, or carry one out."""
    places = {str(folder), str(folder.resolve())}
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _uses(p, places)]


def described(process: psutil.Process) -> str:
    """Return which run a process is carrying out, else how a person finds it."""
    try:
        folder = process.environ().get(RUN_MARK)
        folder = folder or next((str(at.parent) for at in _runs(process)), None)
    except (psutil.Error, OSError):
        folder = None
    return f"the run {folder} (process {process.pid})" if folder else locks.described(process)


def require_none(folder: Path) -> None:
    """Raise UserError if a process uses `folder`."""
    if used := of(folder):
        raise UserError(
            f"{folder} is in use by the process {used[0].pid} ({used[0].name()})",
            hint="Wait until it has finished, or stop it. Nothing was deleted.",
        )


def hold(file: Path) -> None:
    """Keep a file open for as long as this process lives: others then see that we use its folder.

    A run that is being prepared has neither a trainer nor a record that could tell.
    """
    if os.name == "posix" and file not in _held:  # on Windows it could not be renamed any more
        _held[file] = os.open(file, os.O_RDONLY)


def _uses(process: psutil.Process, places: set[str]) -> bool:
    try:
        words = process.cmdline()
        if any(_is_inside(word, place) for word in words for place in places):
            return True
        # Between two stages only kohya-presets itself is there, which holds the run's folder.
        ours = any("kohya" in word.lower() for word in words)
        return ours and any(place in text for text in _told(process) for place in places)
    except (psutil.Error, OSError):
        return False  # not ours to read, so not ours


def _is_inside(word: str, place: str) -> bool:
    """Return whether a word of a command line is a path in `place`, or an option's value is."""
    path = os.path.normcase(word.partition("=")[2] if word.startswith("-") else word)
    return path.startswith(os.path.normcase(place) + os.sep)


def _told(process: psutil.Process) -> Iterator[str]:
    """Yield the path of each file that a process keeps open, and the records of its runs."""
    yield from (opened.path for opened in process.open_files())
    for record in _runs(process):
        # As TOML writes a backslash of Windows.
        yield record.read_text(encoding="utf-8", errors="replace").replace("\\\\", "\\")


def _runs(process: psutil.Process) -> Iterator[Path]:
    """Yield the records of the runs whose folders a process holds."""
    for opened in process.open_files():
        held = Path(opened.path)
        record = held.with_name(RUN)
        if held.name == LOCK and record.is_file():
            yield record
