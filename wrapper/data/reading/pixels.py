"""What the pixels of many pictures say: with all cores, and only those not yet known."""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from kohya_presets.dataset.picture import Pixels
from wrapper.data.reading import cache as caches
from wrapper.data.reading import measure
from wrapper.data.reading.cache import Cache

TOGETHER = 8  # files that a worker is given at a time
AHEAD = 3  # such portions that wait for each worker
FEW = 6  # files for which starting workers takes longer than they would save
PATIENCE = 0.5  # seconds: Windows lets no Ctrl-C into an endless wait
MOST_WORKERS = 16  # 60 MB each

Progress = Callable[[int, int], None]  # how many are done, of how many


def read(
    files: Iterable[Path],
    cache: Cache | None = None,
    *,
    on_progress: Progress | None = None,
    workers: int | None = None,
) -> Iterator[Pixels]:
    """Yield what the pixels of each file say: those in the cache first, the rest as they come.

    A file is yielded once, however often it is named. Whatever was yielded is in the cache when
    this ends, by Ctrl-C too (KeyboardInterrupt passes through), or by leaving the loop early. A
    worker that is killed, as for want of memory, is replaced; a file that kills its worker again
    when read alone gets a `fault`.
    """
    stamps = caches.stamps(files)
    done = 0
    missing = dict(stamps)
    for found in cache.known(stamps) if cache else ():
        del missing[found.file]
        done += 1
        _tell(on_progress, done, len(stamps))
        yield found
    measured = _measured(list(missing), workers or _cores())
    try:
        for found in measured:
            if cache and (found.sha256 or not found.fault):
                cache.keep(found, stamps[found.file])
            done += 1
            _tell(on_progress, done, len(stamps))
            yield found
    finally:
        measured.close()
        if cache:
            cache.save()


def _tell(on_progress: Progress | None, done: int, count: int) -> None:
    if on_progress:
        on_progress(done, count)


def _cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return min(MOST_WORKERS, len(os.sched_getaffinity(0)))
    return min(MOST_WORKERS, os.cpu_count() or 1)


def _measured(files: list[Path], workers: int) -> Generator[Pixels, None, None]:
    if workers == 1 or len(files) <= FEW:
        yield from map(measure.one, files)
        return
    left = collections.deque(
        tuple(files[start : start + TOGETHER]) for start in range(0, len(files), TOGETHER)
    )
    while left:
        lost = yield from _until_broken(left, workers)
        for file in lost:
            yield _alone(file)


def _until_broken(
    left: collections.deque[tuple[Path, ...]], workers: int
) -> Generator[Pixels, None, list[Path]]:
    """Yield what workers find, taking from `left`; return the files that a killed one had.

    When one worker dies, its pool cannot say which it was: all that was being read is returned.
    """
    pool = _pool(workers)
    running: dict[Future[list[Pixels]], tuple[Path, ...]] = {}
    try:
        while left or running:
            while left and len(running) < workers * AHEAD:
                running[pool.submit(measure.several, left[0])] = left[0]
                left.popleft()
            finished, _ = concurrent.futures.wait(running, PATIENCE, FIRST_COMPLETED)
            for future in finished:
                found = future.result()
                del running[future]
                yield from found
    except BrokenProcessPool:
        return [file for files in running.values() for file in files]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return []


def _alone(file: Path) -> Pixels:
    """Return what a file's pixels say, read by a worker that has nothing else to do."""
    with _pool(1) as pool:
        try:
            return pool.submit(measure.one, file).result()
        except BrokenProcessPool:
            return Pixels(file, fault="reading it stopped the process that read it (no memory?)")


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not by fork: a thread of ours (a progress bar's) may hold a lock just then.
    how = "spawn" if sys.platform == "win32" else "forkserver"
    context = multiprocessing.get_context(how)
    return ProcessPoolExecutor(workers, context, measure.ignore_interrupts)
