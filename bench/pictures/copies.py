"""Find copies of training images in a made set, beside imagehash's phash and `dataset check`'s way.

A hundred training images. Copies: each of twelve ways in which a learned picture comes out again,
at five strengths. No copies: unrelated scenes; and hard ones, which a LoRA is trained to make: the
subject of a training image in another pose, before the same background or before another, and
another subject before the same background. A copy is found if its nearest training image is nearer
than the limit, and the right one; anything else that is called a copy is wrong.

`structure.COPY` was chosen on another set (--first 0 --limits): the largest of the limits listed
at which precision is at least 0.985.
imagehash names no limit of its own: it gets imagededup's 10 bits, and the largest at which it is as
precise as ours. Ours must find more than it does then.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.pictures import remembered, scenes
from kohya_presets.dataset.alike import dct_hash, likeness
from kohya_presets.judging import structure

TRAINED = 97
REPEATS = 10  # of each kind at each strength
SIDE = 320
USUAL = 10  # bits: imagededup's default for a perceptual hash
ELSEWHERE = 10_000  # added to a scene's number: one of the same kind that no one trained on
CELLS = tuple((kind, strength) for kind in remembered.KINDS for strength in range(5))
TRAINING, UNRELATED = "training", "unrelated"
HARD = ("other subject", "other pose", "other place")  # in the other two, the place is the same
NO_COPIES = (*HARD, UNRELATED)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """A made picture as each way of comparing sees it."""

    kind: str
    strength: int
    own: int  # the training image that it was made from
    features: structure.Features
    phash: Flags
    thumbnail: NDArray[np.uint8]


@dataclass(frozen=True)
class Way:
    """What a way of finding copies says of each picture: how far its nearest is, and if rightly."""

    name: str
    far: NDArray[np.float64]
    right: Flags
    seconds: float


class Made:
    """The made pictures, without the training images."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self.training = sorted((s for s in seen if s.kind == TRAINING), key=lambda s: s.own)
        self.pictures = [s for s in seen if s.kind != TRAINING]
        self.kind = np.array([s.kind for s in self.pictures])
        self.strength = np.array([s.strength for s in self.pictures])
        self.own = np.array([s.own for s in self.pictures])
        self.copy: Flags = ~np.isin(self.kind, NO_COPIES)

    def scored(self, way: Way, limit: float) -> tuple[float, float]:
        """Return precision and recall of what lies below a limit."""
        called = way.far < limit
        good = called & way.right & self.copy
        precision = float(good.sum() / called.sum()) if called.any() else 1.0
        return precision, float(good.sum() / self.copy.sum())

    def share(self, way: Way, limit: float, kind: str, strength: int | None = None) -> float:
        """Return the share of a kind that is found; of no copies: that is wrongly called one."""
        some = (self.kind == kind) & (True if strength is None else self.strength == strength)
        called = (way.far < limit) & (way.right | ~self.copy)
        return float(called[some].mean())


def main() -> None:
    """Make the set, find copies in each way, print how they do, fail where ours is behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=200_000, help="number of the first scene")
    parser.add_argument("--limits", action="store_true", help="what other limits would give")
    options = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        jobs = [(options.first, number) for number in range(TRAINED)]
        made = Made([s for some in pool.map(_make, jobs, chunksize=4) for s in some])
    ours, phash, finder = _structure(made), _phash(made), _finder(made)
    print(f"{TRAINED} training images, {made.copy.sum()} copies, {(~made.copy).sum()} others")
    print(f"{'':52}   wrongly called copies, of:")
    print(f"{'':34}{'precision':>10}{'recall':>8}" + "".join(f"{k:>15}" for k in NO_COPIES))
    if options.limits:
        for limit in np.arange(0.3, 0.91, 0.05):
            _row(made, ours, float(limit), f"ours below {limit:.2f}")
        return
    precision, recall = made.scored(ours, structure.COPY)
    strict = _as_precise(made, phash, precision)
    _row(made, ours, structure.COPY, f"ours, below {structure.COPY}")
    _row(made, phash, USUAL + 0.5, f"phash, at most {USUAL} bits")
    _row(made, phash, strict, f"phash as precise, {strict - 0.5:.0f} bits")
    _row(made, finder, 0.5, "as dataset check finds duplicates")
    print(f"\n{'found, by strength 1 to 5':26}{'ours':^30}{f'phash, {USUAL} bits':^30}")
    for kind in remembered.KINDS:
        shares = [
            [made.share(way, limit, kind, strength + 1) for strength in range(5)]
            for way, limit in ((ours, structure.COPY), (phash, USUAL + 0.5))
        ]
        print(f"{kind:26}" + "  ".join("".join(f"{s:6.2f}" for s in some) for some in shares))
    print(f"ours took {ours.seconds:.2f} s to compare, phash {phash.seconds:.2f} s")
    if recall <= made.scored(phash, strict)[1]:
        sys.exit("phash finds as many")


def _row(made: Made, way: Way, limit: float, name: str) -> None:
    precision, recall = made.scored(way, limit)
    wrong = "".join(f"{made.share(way, limit, k):15.3f}" for k in NO_COPIES)
    print(f"{name:34}{precision:10.3f}{recall:8.3f}{wrong}")


def _as_precise(made: Made, way: Way, precision: float) -> float:
    """Return the limit at which a hash finds most at no less than a precision."""
    limits = [bits + 0.5 for bits in range(-1, 32)]
    precise = [limit for limit in limits if made.scored(way, limit)[0] >= precision]
    return max(precise, key=lambda limit: made.scored(way, limit)[1])


def _make(job: tuple[int, int]) -> list[Seen]:
    """Return a training image, its copies, and others that are none."""
    first, number = job
    scene = first + number
    original = scenes.scene(scene, SIDE)
    seen = [_seen(TRAINING, 0, number, original)]
    for turn in range(number, len(CELLS) * REPEATS, TRAINED):
        kind, strength = CELLS[turn % len(CELLS)]
        change, strengths = remembered.KINDS[kind]
        copy = change(original, strengths[strength], np.random.default_rng((first, turn)))
        seen.append(_seen(kind, strength + 1, number, copy))
    seen += [_seen(kind, 0, number, image) for kind, image in _others(scene)]
    return seen


def _others(scene: int) -> Iterator[tuple[str, Image.Image]]:
    elsewhere = scene + ELSEWHERE
    yield HARD[0], scenes.scene(scene, SIDE, sibling=1)
    yield HARD[1], scenes.posed(scene, SIDE, before=scene)
    yield HARD[2], scenes.posed(scene, SIDE, before=elsewhere)
    for away in range(3):
        yield UNRELATED, scenes.scene(elsewhere + away * ELSEWHERE, SIDE)


def _seen(kind: str, strength: int, own: int, image: Image.Image) -> Seen:
    features = structure.describe(np.asarray(image.convert("RGB")))
    side = dct_hash.SIDE
    small = image.convert("L").resize((side, side), Image.Resampling.BOX)
    hashed: Any = imagehash.phash(image)
    return Seen(kind, strength, own, features, hashed.hash.reshape(-1), np.asarray(small))


def _structure(made: Made) -> Way:
    started = time.perf_counter()
    found = structure.nearest(
        [s.features for s in made.pictures], [s.features for s in made.training]
    )
    seconds = time.perf_counter() - started
    index, far = np.array([i for i, _ in found]), np.array([d for _, d in found])
    return Way("structure", far, index == made.own, seconds)


def _phash(made: Made) -> Way:
    started = time.perf_counter()
    ours, theirs = (np.stack([s.phash for s in some]) for some in (made.pictures, made.training))
    bits = (ours[:, None] != theirs[None]).sum(-1)
    far = bits.min(1)
    right = bits[np.arange(len(bits)), made.own] == far
    return Way("phash", far.astype(np.float64), right, time.perf_counter() - started)


def _finder(made: Made) -> Way:
    """Return what `dataset check` would call duplicates: 0 if there is one, else 1."""
    started = time.perf_counter()
    count = len(made.training)
    thumbnails = np.stack([s.thumbnail for s in (*made.training, *made.pictures)])
    pairs = [(n.one, n.other - count) for n in likeness.near(thumbnails) if n.one < count]
    far, right = np.ones(len(made.pictures)), np.zeros(len(made.pictures), bool)
    for one, other in pairs:
        if other >= 0:
            far[other] = 0.0
            right[other] |= one == made.own[other]
    return Way("dataset check", far, right, time.perf_counter() - started)


if __name__ == "__main__":
    main()
