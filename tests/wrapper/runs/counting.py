"""Count files while a run is at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def counted(folder: Path, pattern: str) -> Iterator[list[int]]:
    """Count the files of a pattern, time and again; the only number is the most there were."""
    most, over = [0], threading.Event()

    def count() -> None:
        while not over.wait(0.005):
            most[0] = max(most[0], len([*folder.glob(pattern)]))

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()
