"""One process at a time: a lock is a file that the system frees when its holder ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kohya_presets.errors import UserError


@contextmanager
def held(file: Path, busy: UserError | None = None, *, seconds: float = 0) -> Iterator[None]:
    """Hold the lock `file`, with `busy` after waiting no more than `seconds`, else however long.

    Raises:
        UserError: `busy`, where another process still holds it.
    """
    lock = FileLock(file, mode=0o666)
    try:
        lock.acquire(timeout=-1 if busy is None else seconds)
    except Timeout:
        assert busy is not None
        raise busy from None
    try:
        yield
    finally:
        lock.release()
