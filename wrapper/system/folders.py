"""Folders made whole or not at all, and deleted."""

from __future__ import annotations

import contextlib
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

MAKING = ".adding-"  # how the name of a folder begins that is not complete yet


@contextlib.contextmanager
def made(parent: Path) -> Iterator[Path]:
    """Give a new folder in `parent`, deleted in the end unless it was renamed."""
    work = Path(tempfile.mkdtemp(prefix=MAKING, dir=parent))
    try:
        yield work
    finally:
        if work.exists():
            delete(work)


def clear(parent: Path) -> None:
    """Delete what `made` left in `parent` when it was killed; nobody may be in it now."""
    for leftover in parent.glob(f"{MAKING}*"):
        delete(leftover)


def delete(folder: Path) -> None:
    """Delete a folder that may hold read-only files, as git's objects are on Windows."""

    def make_writable(function: Callable[[str], object], path: str, _: object) -> None:
        with contextlib.suppress(OSError):
            Path(path).chmod(stat.S_IWRITE)
            function(path)

    shutil.rmtree(folder, onerror=make_writable)
