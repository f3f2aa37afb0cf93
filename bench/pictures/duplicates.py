"""Find near duplicates in a made set, beside imagehash's and imagededup's defaults.

Originals, each changed three or four times in one of 22 ways at one of three strengths; and for a
fifth of them a sibling (another subject before the same background), which is no duplicate. Recall
is that of pairs of an original and a changed one; a found pair is right if both come from one
original. imagehash names no limit of its own: it gets the largest at which it is as precise as we
are. imagededup has one (10 bits). Its CNN is left out: its weights would have to be downloaded.

Ours must find more than each rival does, at the rival's precision (with a lower limit, if need be).
The limits of `kohya_presets.dataset.alike.likeness` were chosen on another set (--first 0).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import importlib
import io
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.pictures import changes, scenes
from kohya_presets.dataset.alike import dct_hash, likeness
from kohya_presets.dataset.alike.likeness import Near
from wrapper.data.reading import pixels

ORIGINALS = 456  # with 91 siblings and 1,452 changed ones: 1,999 pictures
REPEATS = 22  # of each change at each strength
SIDE = 448
CELLS = tuple((kind, strength) for kind in changes.KINDS for strength in range(3))
ORIGINAL = "original"

Pairs = set[tuple[int, int]]


@dataclass(frozen=True)
class Scored:
    """How a way of finding pairs does."""

    name: str
    found: int
    right: int
    recall: float
    seconds: float

    @property
    def precision(self) -> float:
        """The share of found pairs that are right; 1 if none is found."""
        return self.right / self.found if self.found else 1.0


class Made:
    """The made pictures: their files, the original of each, and what was done to it."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.group = [file.stem.split("_")[0] for file in files]
        self.change = [file.stem.split("_")[1] for file in files]
        first = {g: n for n, g in enumerate(self.group) if self.change[n] == ORIGINAL}
        self.wanted: Pairs = {
            (min(first[g], n), max(first[g], n)) for n, g in enumerate(self.group) if first[g] != n
        }

    def scored(self, name: str, found: Pairs, seconds: float) -> Scored:
        """Return how these pairs do."""
        right = sum(self.group[a] == self.group[b] for a, b in found)
        return Scored(name, len(found), right, len(found & self.wanted) / len(self.wanted), seconds)


def main() -> None:
    """Make the set, find pairs in each way, print how they do, fail where ours is behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=200_000, help="number of the first scene")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        made = Made(_made(Path(work), options.first))
        print(f"{len(made.files)} pictures, {len(made.wanted)} pairs to be found")
        near, seconds = _ours(made)
        limits = [_limited(made, near, limit, seconds) for limit in range(likeness.FINE + 1)]
        ours = limits[-1]
        rivals = [
            *(_imagehash(made, name, ours.precision) for name in ("phash", "dhash")),
            *_imagededup(made),
        ]
    print(f"{'':<34}{'precision':>10}{'recall':>8}{'found':>7}{'seconds':>9}")
    strict = _as_precise(limits, max(rival.precision for rival in rivals))
    for one in (ours, strict, *rivals):
        print(
            f"{one.name:<34}{one.precision:10.4f}{one.recall:8.4f}{one.found:7}{one.seconds:9.1f}"
        )
    missed = Counter(_told(made, p) for p in made.wanted - {(n.one, n.other) for n in near})
    print(
        "ours misses, of", REPEATS, "each:", ", ".join(f"{k} {n}" for k, n in missed.most_common())
    )
    better = [r.name for r in rivals if r.recall >= _as_precise(limits, r.precision).recall]
    if better:
        sys.exit(f"as good as ours or better: {', '.join(better)}")


def _made(folder: Path, first: int) -> list[Path]:
    with ProcessPoolExecutor() as pool:
        jobs = [(folder, first, number) for number in range(ORIGINALS)]
        list(pool.map(_make, jobs, chunksize=8))
    return sorted(folder.iterdir())


def _make(job: tuple[Path, int, int]) -> None:
    """Write an original, its sibling if it has one, and its changed ones."""
    folder, first, number = job
    original = scenes.scene(first + number, SIDE)
    original.save(folder / f"{number:04d}_{ORIGINAL}_.jpg", quality=92)
    if number % 5 == 1:
        sibling = scenes.scene(first + number, SIDE, sibling=1)
        sibling.save(folder / f"{number:04d}s_{ORIGINAL}_.jpg", quality=92)
    for turn in range(number, len(CELLS) * REPEATS, ORIGINALS):
        kind, strength = CELLS[turn % len(CELLS)]
        change, strengths = changes.KINDS[kind]
        dice = np.random.default_rng((first, turn))
        changed = change(original, strengths[strength], dice)
        name = f"{number:04d}_{kind} {strength + 1}_{turn}"
        if turn % 2:
            changed.save(folder / f"{name}.png")
        else:
            changed.save(folder / f"{name}.jpg", quality=88)


def _told(made: Made, pair: tuple[int, int]) -> str:
    return next(made.change[n] for n in pair if made.change[n] != ORIGINAL)


def _as_precise(limits: Sequence[Scored], precision: float) -> Scored:
    """Return what finds most of ours at no less than a precision; at 0 bits if nothing does."""
    precise = [one for one in limits if one.precision >= precision]
    return max(precise, key=lambda one: one.recall, default=limits[0])


def _limited(made: Made, near: Sequence[Near], limit: int, seconds: float) -> Scored:
    pairs = {(one.one, one.other) for one in near if one.bits <= limit}
    return made.scored(f"ours, at most {limit} bits", pairs, seconds)


def _ours(made: Made) -> tuple[list[Near], float]:
    """Return the near pairs, and the seconds that reading and comparing took."""
    started = time.perf_counter()
    read = {one.file: one for one in pixels.read(made.files, workers=1)}
    held = b"".join(base64.b64decode(read[file].thumbnail) for file in made.files)
    thumbnails = np.frombuffer(held, np.uint8).reshape(-1, dct_hash.SIDE, dct_hash.SIDE)
    compared = time.perf_counter()
    near = list(likeness.near(thumbnails))
    ended = time.perf_counter()
    print(f"ours took {ended - compared:.2f} s to compare all pairs")
    return near, ended - started


def _imagehash(made: Made, name: str, precision: float) -> Scored:
    """Return the best that a hash of imagehash does at no less than a precision."""
    started = time.perf_counter()
    make: Callable[[Image.Image], Any] = getattr(imagehash, name)
    bits = np.stack([make(Image.open(file)).hash.reshape(-1) for file in made.files])
    seconds = time.perf_counter() - started
    signs = bits.astype(np.float32) * 2 - 1
    differing = (bits.shape[1] - signs @ signs.T) / 2
    tried = [
        made.scored(f"imagehash {name}, at most {limit} bits", _below(differing, limit), seconds)
        for limit in range(17)
    ]
    return max((t for t in tried if t.precision >= precision), key=lambda t: t.recall)


def _below(differing: NDArray[np.float32], limit: int) -> Pairs:
    return {(int(a), int(b)) for a, b in np.argwhere(np.triu(differing <= limit + 0.5, 1))}


def _imagededup(made: Made) -> Iterable[Scored]:
    """Yield how imagededup's hashes do at its own limit; say so if it is not installed."""
    try:
        methods = importlib.import_module("imagededup.methods")
    except (ImportError, RuntimeError) as error:  # the latter: torchvision is of another torch
        print(f"imagededup cannot be imported and is not compared: {error}")
        return
    numbers = {file.name: number for number, file in enumerate(made.files)}
    for name in ("PHash", "DHash", "AHash", "WHash"):
        started = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            method = getattr(methods, name)(verbose=False)
            hashes = {f.name: method.encode_image(image_file=str(f)) for f in made.files}
            found: Mapping[str, list[str]] = method.find_duplicates(
                encoding_map=hashes, num_dist_workers=os.cpu_count()
            )
        pairs = {
            (min(numbers[a], numbers[b]), max(numbers[a], numbers[b]))
            for a, others in found.items()
            for b in others
        }
        seconds = time.perf_counter() - started
        yield made.scored(f"imagededup {name}, its default", pairs, seconds)


if __name__ == "__main__":
    main()
