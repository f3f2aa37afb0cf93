"""One function on many things with all cores: where a worker is killed, nothing else is lost."""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

TOGETHER = 8  # things that a worker is given at a time
AHEAD = 3  # such portions that wait for each worker
FEW = 6  # things for which starting workers takes longer than they would save
PATIENCE = 0.5  # seconds: Windows lets no Ctrl-C into an endless wait
MOST_WORKERS = 16  # 60 MB each
LOST = "reading it stopped the process that read it (no memory?)"

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many workers are worth starting: the cores that this process may use."""
    if sys.platform == "linux":
        return min(MOST_WORKERS, len(os.sched_getaffinity(0)))
    return min(MOST_WORKERS, os.cpu_count() or 1)


def each(
    function: Callable[[Thing], Result],
    things: Sequence[Thing],
    *,
    lost: Callable[[Thing], Result],
    workers: int | None = None,
) -> Generator[Result, None, None]:
    """Yield what a function returns for each thing, as they come, in no order.

    The function is one of a module, as things and results are sent to other processes. Closing this
    early, or a Ctrl-C, stops the workers. One that is killed, as for want of memory, is replaced;
    of a thing that kills its worker again when it is alone, `lost` says the result.
    """
    workers = workers or cores()
    if workers == 1 or len(things) <= FEW:
        yield from map(function, things)
        return
    left = collections.deque(
        tuple(things[start : start + TOGETHER]) for start in range(0, len(things), TOGETHER)
    )
    while left:
        broken = yield from _until_broken(function, left, workers)
        yield from _one_by_one(function, broken, lost)


def _until_broken(
    function: Callable[[Thing], Result],
    left: collections.deque[tuple[Thing, ...]],
    workers: int,
) -> Generator[Result, None, list[Thing]]:
    """Yield what workers find, taking from `left`; return the things that a killed one had.

    When one worker dies, its pool cannot say which it was: all that was being done is returned.
    """
    pool = _pool(workers)
    running: dict[Future[list[Result]], tuple[Thing, ...]] = {}
    try:
        while left or running:
            while left and len(running) < workers * AHEAD:
                running[pool.submit(_several, function, left[0])] = left[0]
                left.popleft()
            finished, _ = concurrent.futures.wait(running, PATIENCE, FIRST_COMPLETED)
            for future in finished:
                found = future.result()
                del running[future]
                yield from found
    except BrokenProcessPool:
        return [thing for things in running.values() for thing in things]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return []


def _one_by_one(
    function: Callable[[Thing], Result],
    things: Sequence[Thing],
    lost: Callable[[Thing], Result],
) -> Generator[Result, None, None]:
    """Yield what a function returns in a worker that has one thing at a time to do."""
    pool = _pool(1)
    try:
        for thing in things:
            try:
                found = pool.submit(function, thing).result()
            except BrokenProcessPool:
                found = lost(thing)
                pool = _pool(1)
            yield found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _several(function: Callable[[Thing], Result], things: Sequence[Thing]) -> list[Result]:
    return [function(thing) for thing in things]


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not by fork: a thread of ours (a progress bar's) may hold a lock just then.
    how = "spawn" if sys.platform == "win32" else "forkserver"
    context = multiprocessing.get_context(how)
    return ProcessPoolExecutor(workers, context, _ignore_interrupts)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one: it stops when that one says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
