"""How much space files take on the disk. A file with several names takes its space once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def of(at: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links count as themselves."""
    if at.is_symlink() or not at.is_dir():
        return at.lstat().st_size
    seen = {(found.st_dev, found.st_ino): found.st_size for found in _files(at)}
    return sum(seen.values())


def own(folder: Path) -> int:
    """Return the bytes that deleting a folder frees: of the files that have no name elsewhere."""
    return sum(found.st_size for found in _files(folder) if found.st_nlink == 1)


def said(size: int) -> str:
    """Return a number of bytes as a person reads it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _files(folder: Path) -> Iterator[os.stat_result]:
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                yield (Path(at) / name).lstat()
            except OSError:  # deleted meanwhile
                continue
