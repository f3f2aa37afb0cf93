"""Let processes stand still and go on: their memory, and that of the GPU, stays theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import psutil

Processes = Callable[[], list[psutil.Process]]


def pause(processes: Iterable[psutil.Process]) -> bool:
    """Let the processes stand still; return whether one did."""
    done = [_done(process.suspend) for process in processes]
    return any(done)


def go_on(processes: Iterable[psutil.Process]) -> None:
    """Let the processes go on; to one that runs it does nothing."""
    for process in processes:
        _done(process.resume)


def end(processes: Iterable[psutil.Process]) -> None:
    """End the processes at once: they save nothing more."""
    for process in processes:
        _done(process.kill)


def stand_still(processes: Iterable[psutil.Process]) -> bool:
    """Return whether one of the processes stands still: its watcher was killed meanwhile."""
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_STOPPED:
                return True
    return False


def _done(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except (psutil.Error, OSError, NotImplementedError):  # ended, not ours, or not on this system
        return False
    return True
