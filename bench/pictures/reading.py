"""Time the reading of many pictures against a loop over Pillow; print the memory it takes.

Made pictures of 1024 x 1024 in area, as JPEG: some hundred of them, each under many names (hard
links), since making 10,000 takes long. Each name is read and decoded like a file of its own.

Paired: each round reads a slice of the names with all cores, and a part of the same slice in a
loop, in turn, so that a busy machine slows both alike. The loop measures the same with plain
Pillow: it decodes in full, and it also runs once with our own function for one file, which shows
what the cores alone bring.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from bench.pictures import scenes
from kohya_presets.dataset.alike import dct_hash
from wrapper.data.reading import headers, measure, pixels
from wrapper.data.reading.cache import Cache

ROUNDS = 8
PART = 8  # the loops read every so many-th of a slice
TIMES = 1.8  # the speed of the loop that is wanted on two cores
SECOND_SECONDS, HEADERS_SECONDS, MEMORY_MB = 2.0, 60.0, 300
HEADERS = 100_000


def main() -> None:
    """Make the pictures, read them, print what it took, fail where it is too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="names (%(default)s)")
    parser.add_argument("--made", type=int, default=200, help="pictures (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        files = _files(Path(work) / "pictures", options.count, options.made)
        many = _many(Path(work) / "many", files)
        failed = [*_headers(many), *_pixels(files, Path(work) / "cache.sqlite")]
    if failed:
        sys.exit("; ".join(failed))


def _files(folder: Path, count: int, made: int) -> list[Path]:
    folder.mkdir()
    files = []
    for number in range(count):
        files.append(folder / f"{number:06d}.jpg")
        if number < made:
            scenes.scene(number, 1024).save(files[-1], quality=92)
        else:
            os.link(files[number % made], files[-1])
    size = sum(file.stat().st_size for file in files[:made]) / made
    print(f"{count} JPEGs of {size / 1e3:.0f} kB, {made} of them different")
    return files


def _many(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Return the paths of `HEADERS` names in a hundred folders."""
    paths = []
    for number in range(HEADERS):
        if number % 1000 == 0:
            (folder / str(number // 1000)).mkdir(parents=True)
        paths.append(folder / str(number // 1000) / f"{number}.jpg")
        os.link(files[number % 200], paths[-1])
    return paths


def _headers(many: Sequence[Path]) -> list[str]:
    with Memory() as memory:
        started = time.perf_counter()
        found = list(headers.read(many))
        seconds = time.perf_counter() - started
    assert all(header.width and not header.fault for header in found)
    print(f"headers of {len(many)} files  {seconds:6.2f} s  {len(many) / seconds:7.0f}/s  {memory}")
    slow = [f"headers take {seconds:.1f} s"] if seconds > HEADERS_SECONDS else []
    return [*slow, *memory.too_much()]


def _pixels(files: Sequence[Path], where: Path) -> list[str]:
    ours, plain, single = [], [], []
    with Memory() as memory, Cache(where) as cache:
        list(pixels.read(files[:32], cache, workers=2))  # so that no round pays for cold imports
        for number in range(ROUNDS):
            chosen = files[32 + number :: ROUNDS]
            part = chosen[::PART]
            turn: list[tuple[list[float], Callable[[], int]]] = [
                (ours, lambda c=chosen: len(list(pixels.read(c, cache)))),  # type: ignore[misc]
                (plain, lambda p=part: sum(1 for file in p if _loop(file))),  # type: ignore[misc]
                (single, lambda p=part: len(measure.several(p))),  # type: ignore[misc]
            ]
            for rates, run in turn[number % 3 :] + turn[: number % 3]:
                started = time.perf_counter()
                count = run()
                rates.append(count / (time.perf_counter() - started))
    with Memory() as again_memory, Cache(where) as cache:
        started = time.perf_counter()
        again = len(list(pixels.read(files, cache)))
        second = time.perf_counter() - started
    assert again == len(files)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    print(f"pixels, {cores} cores, {ROUNDS} rounds (median, and each)")
    print(f"  ours, all cores        {_rates(ours, '/s')}   {memory}")
    print(f"  plain Pillow, a loop   {_rates(plain, '/s')}")
    print(f"  ours, a loop           {_rates(single, '/s')}")
    by_plain = [a / b for a, b in zip(ours, plain, strict=True)]
    by_single = [a / b for a, b in zip(ours, single, strict=True)]
    print(f"  times plain Pillow     {_rates(by_plain, 'x')}  (wanted {TIMES})")
    print(f"  times ours in a loop   {_rates(by_single, 'x')}")
    print(f"second run, {again} files  {second:5.2f} s   {again_memory}")
    failed = [*memory.too_much(), *again_memory.too_much()]
    if cores and cores > 1 and statistics.median(by_plain) < TIMES:
        failed.append(f"only {statistics.median(by_plain):.2f} times plain Pillow's speed")
    if second > SECOND_SECONDS:
        failed.append(f"a second run takes {second:.1f} s")
    return failed


def _loop(file: Path) -> tuple[object, ...]:
    """Measure one file as one would with Pillow, decoding all of it."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    image = Image.open(file).convert("RGB")
    by = (measure.AREA / (image.width * image.height)) ** 0.5
    shrunk = image.resize((round(image.width * by), round(image.height * by)))
    grey = shrunk.convert("L")
    small = np.asarray(grey.resize((dct_hash.SIDE, dct_hash.SIDE)))
    values = np.asarray(grey, np.float32)
    colours = measure.colourfulness(np.asarray(shrunk, np.float32))
    return digest, dct_hash.hashes(small[None]), measure.sharpness(values), values.mean(), colours


def _rates(rates: Sequence[float], unit: str) -> str:
    shown = " ".join(f"{rate:.2f}" if unit == "x" else f"{rate:.0f}" for rate in rates)
    return f"{statistics.median(rates):7.2f} {unit}  ({shown})"


class Memory:
    """The most memory that this process and those below it held at once.

    What they share (forked from one server) is counted once: PSS, where the system tells it.
    """

    def __enter__(self) -> Memory:
        self.most, self._done = _held(), threading.Event()
        self._watch = threading.Thread(target=self._watched)
        self._watch.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._done.set()
        self._watch.join()

    def __str__(self) -> str:
        return f"at most {self.most / 1e6:.0f} MB"

    def too_much(self) -> list[str]:
        """Return what is wrong with it, or nothing."""
        return [f"{self} of memory"] if self.most > MEMORY_MB * 1e6 else []

    def _watched(self) -> None:
        while not self._done.wait(0.2):
            self.most = max(self.most, _held())


def _held() -> int:
    here, total = psutil.Process(), 0
    for process in (here, *here.children(recursive=True)):
        try:
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
        except psutil.Error:
            continue
    return total


if __name__ == "__main__":
    main()
