"""What is to be done to a folder, as values: write a caption, or rename a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Write:
    """A caption file's bytes before and after; before None: there was no such file."""

    file: Path
    before: bytes | None
    after: bytes
    source: str = ""  # where the caption was found, for a person


@dataclass(frozen=True)
class Move:
    """A file's old and new name in the same folder, and its size and time to know it again."""

    old: Path
    new: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Plan:
    """All that an action does; `left` are files it leaves alone, and why; `same` those right."""

    folder: Path
    steps: tuple[Write | Move, ...] = ()
    left: tuple[tuple[Path, str], ...] = ()
    same: tuple[Path, ...] = ()
    notes: tuple[str, ...] = field(default=())


def digest(data: bytes) -> str:
    """Return what tells a caption's bytes from others."""
    return hashlib.sha256(data).hexdigest()
