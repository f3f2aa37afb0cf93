"""What the pixels of many pictures say: with all cores, and only those not yet known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kohya_presets.dataset.picture import Pixels
from wrapper.data.reading import cache as caches
from wrapper.data.reading import measure
from wrapper.data.reading.cache import Cache
from wrapper.system import workers as workers_of

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
    measured = workers_of.each(measure.one, list(missing), lost=_lost, workers=workers)
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


def _lost(file: Path) -> Pixels:
    return Pixels(file, fault=workers_of.LOST)
