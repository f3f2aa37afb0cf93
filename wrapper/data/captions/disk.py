"""One file replaced, moved or deleted: after a crash it is the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path


def read(file: Path) -> bytes | None:
    """Return a file's bytes, or None if there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def replace(file: Path, data: bytes, mark: str) -> None:
    """Give a file these bytes, on the disk before the old ones go; its permissions stay.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    made = part(file.parent, mark)
    try:
        with made.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        if file.exists():
            shutil.copymode(file, made)
        os.replace(made, file)  # noqa: PTH105 (one name for tests on every Python)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def move(old: Path, new: Path) -> None:
    """Rename a file to a name that is free; one that differs in capitals only is free too.

    Raises:
        OSError: it cannot be renamed, or the name is not free.
    """
    # Where capitals do not count, a name that differs in them only seems to be there.
    if os.path.lexists(new) and new.name in os.listdir(new.parent):  # noqa: PTH208 (as written)
        raise FileExistsError(17, "the name is not free", str(new))
    os.rename(old, new)  # noqa: PTH104 (as above)


def is_read_only(file: Path) -> bool:
    """Return whether somebody has protected a file; a POSIX system would replace it even so."""
    return file.exists() and not file.stat().st_mode & stat.S_IWUSR


def sync(folder: Path) -> None:
    """Bring the names of a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def part(folder: Path, mark: str) -> Path:
    """Return the file in which new bytes are prepared: one for each undo file, to be found again.

    Its name does not contain the target's: that may be as long as a name can be.
    """
    return folder / f".kohya-presets-{mark}.part"
