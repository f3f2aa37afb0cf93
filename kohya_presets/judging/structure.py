"""How much of a picture's structure another has: where its edges are and which way they run.

No learned model is used. A picture is stretched to a square and blurred; in each of 16 x 16 cells
stands how much of edges runs in each of 8 directions, taken from whichever colour channel has the
strongest edge, so that other colours change little. That is a histogram of oriented gradients
(Dalal and Triggs 2005, Histograms of Oriented Gradients for Human Detection), coarser than theirs.

Two pictures are compared in three steps:

1. The whole of the one is correlated with the whole, with sides, corners and the middle of the
   other, as they are and mirrored: `nearest` finds the training image, and the cut, by that.
2. In the best cut each cell is compared with its cell, as SSIM compares (Wang et al. 2004).
3. The distance is told by the quarter of the edges that agrees least. The same studio with another
   person in it agrees in three quarters; a copy that was redrawn agrees everywhere a little less.

A model of pictures sees more: DINOv2 (Apache-2.0) and CLIP (MIT) know that two drawings show one
person, SDXL's own VAE (its training's base has it) gives latents. None is used: their weights are
hundreds of megabytes to load, and need torch, where this takes milliseconds of numpy. And the
question is whether a picture is *that* picture, not whether it shows the same person: a LoRA is
trained to do the latter. Whether such a model errs less often was not measured.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDE = 64  # of the square that a picture is stretched to
CELLS, DIRECTIONS = 16, 8
BLUR = 1.5  # of SIDE's pixels: what is finer is invented anew by a model that remembers
WORST = 0.25  # of the edges: the share that tells the distance
FEWEST = 0.4  # of a grey: edges weaker than that are none
# Below this distance a picture is called a copy. Chosen on one made set, measured on another: see
# docs/evaluation.md and `python -m bench.pictures.copies`.
COPY = 0.7

Features = NDArray[np.float32]  # DIRECTIONS x CELLS x CELLS, edges per pixel in greys
Many = NDArray[np.float32]  # n x DIRECTIONS x CELLS x CELLS
Matrix = NDArray[np.float32]
Span = tuple[float, float]  # where a cut begins, and its length; of the side
Cut = tuple[Span, Span]  # downwards, rightwards

_ALL: Span = (0.0, 1.0)
_WHOLE: Cut = (_ALL, _ALL)
_ROWS = 512  # pictures at a time: 16 MB as features


def describe(rgb: NDArray[np.uint8]) -> Features:
    """Return the features of a picture, height x width x 3: DIRECTIONS x CELLS x CELLS, 8 KB.

    Raises:
        ValueError: it has another shape.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"expected height x width x 3, got {rgb.shape}")
    down, right = _shrinking(rgb.shape[0]), _shrinking(rgb.shape[1])
    rows = (down @ rgb.reshape(rgb.shape[0], -1).astype(np.float32)).reshape(SIDE, -1, 3)
    planes = right @ rows  # SIDE x SIDE x 3
    downwards, rightwards = np.gradient(planes, axis=(0, 1))
    strength = np.hypot(downwards, rightwards)
    channel = strength.argmax(-1)[..., None]
    strength, downwards, rightwards = (
        np.take_along_axis(plane, channel, -1)[..., 0]
        for plane in (strength, downwards, rightwards)
    )
    turn = np.arctan2(downwards, rightwards) / np.pi * DIRECTIONS  # light to dark is dark to light
    lower = np.floor(turn)
    upper_share = turn - lower
    y, x = np.mgrid[:SIDE, :SIDE]
    directed = np.zeros((DIRECTIONS, SIDE, SIDE), np.float32)
    directed[lower.astype(int) % DIRECTIONS, y, x] = strength * (1 - upper_share)
    directed[(lower.astype(int) + 1) % DIRECTIONS, y, x] += strength * upper_share
    found: Features = _pooling() @ directed @ _pooling().T
    return found


def distance(one: Features, other: Features) -> float:
    """Return how little of the structure of `other` is in `one`: 0 (the same) to 1 (nothing).

    Not quite the same the other way round: `one` may be a cut of `other`.
    """
    return nearest([one], [other])[0][1]


def nearest(pictures: Sequence[Features], training: Sequence[Features]) -> list[tuple[int, float]]:
    """Return the nearest training image of each picture: its index, and the distance, 0 to 1.

    Raises:
        ValueError: there is no training image.
    """
    if not len(training):
        raise ValueError("there is no training image to compare with")
    trained = _Trained(np.stack(training))
    found: list[tuple[int, float]] = []
    for start in range(0, len(pictures), _ROWS):
        found += trained.nearest(np.stack(pictures[start : start + _ROWS]))
    return found


def changed(ones: Sequence[Features], others: Sequence[Features]) -> list[float]:
    """Return how far each of `ones` is from its fellow in `others`: 0 (the same) to 1.

    Place by place: unlike in `distance`, a picture that was moved or mirrored has changed.
    """
    found: list[float] = []
    for start in range(0, len(ones), _ROWS):
        some = slice(start, start + _ROWS)
        far = _distances(_evened(np.stack(ones[some])), _evened(np.stack(others[some])))
        found += [float(d) for d in far]
    return found


class _Trained:
    """Training images with all their cuts, to compare pictures with."""

    def __init__(self, features: Many) -> None:
        both = (features, _mirrored(features))
        self.cuts = _cuts()
        self.turned = both
        fine = [[_flat(_cut(side, cut)) for side in both] for cut in self.cuts]
        self.fine = np.stack([side for pair in fine for side in pair])  # variants x n x values
        coarse = [n for n, cut in enumerate(self.cuts) if _is_coarse(cut)]
        self.coarse = np.stack([side for n in coarse for side in fine[n]])

    def nearest(self, pictures: Many) -> list[tuple[int, float]]:
        whole = _flat(pictures)
        inner = [_flat(_cut(pictures, cut)) for cut in _INNER]
        index = self._alike(whole, inner)
        theirs, ours = np.empty_like(pictures), pictures.copy()
        for one in np.unique(index):
            some = np.flatnonzero(index == one)
            plain = whole[some] @ self.fine[:, one].T  # pictures x variants
            zoomed = [i[some] @ self.fine[:2, one].T for i in inner]
            best = np.concatenate([plain, *zoomed], 1).argmax(1)
            for variant in np.unique(best):
                chosen = some[best == variant]
                over = variant - len(self.fine)
                cut = self.cuts[variant // 2] if over < 0 else _WHOLE
                theirs[chosen] = _cut(self.turned[variant % 2][one : one + 1], cut)
                if over >= 0:
                    ours[chosen] = _cut(pictures[chosen], _INNER[over // 2])
        far = _distances(_evened(ours), _evened(theirs))
        return [(int(i), float(d)) for i, d in zip(index, far, strict=True)]

    def _alike(self, whole: Matrix, inner: Sequence[Matrix]) -> NDArray[np.intp]:
        """Return the training image that each picture correlates most with, in any cut."""
        best = (whole @ self.coarse[0].T).astype(np.float32)
        for variant in self.coarse[1:]:
            np.maximum(best, whole @ variant.T, out=best)
        for one in inner:
            for variant in self.fine[:2]:
                np.maximum(best, one @ variant.T, out=best)
        index: NDArray[np.intp] = best.argmax(1)
        return index


def _distances(ours: Many, theirs: Many) -> NDArray[np.float32]:
    """Return 1 less the agreement in the `WORST` share of the edges, of each pair."""
    near = _near()
    common = near @ np.einsum("ndyx,ndyx->nyx", ours, theirs) @ near.T
    held = near @ (_squares(ours) + _squares(theirs)) @ near.T
    least = 1e-3  # of evened cells, whose squares are about 1/4: both are empty
    agree = ((2 * common + least) / (held + least)).reshape(len(ours), -1)
    weights = (held + 1e-6).reshape(len(ours), -1)
    order = agree.argsort(1)
    agree, weights = (np.take_along_axis(v, order, 1) for v in (agree, weights))
    until = weights.cumsum(1) / weights.sum(1, keepdims=True)
    before = np.concatenate([np.zeros_like(until[:, :1]), until[:, :-1]], 1)
    share = (np.minimum(until, WORST) - before).clip(0)
    far: NDArray[np.float32] = (1 - (agree * share).sum(1) / share.sum(1)).clip(0, 1)
    return far


def _evened(features: Many) -> Many:
    """Return the features of each picture with weak contrast raised, strong lowered.

    Each cell is divided by the strength around it, and twice that of the whole picture, so that
    what was flat stays near 0. Then the mean of the picture is taken off, of each direction alone:
    two lawns have the same edges everywhere, but not more of them in the same places.
    """
    squares = _squares(features)
    around = _near() @ squares @ _near().T
    overall = np.sqrt(squares.mean((1, 2), keepdims=True))
    divisor = np.sqrt(around + (2 * overall + FEWEST) ** 2)
    even = features / divisor[:, None]
    found: Many = even - even.mean((2, 3), keepdims=True)
    return found


def _squares(features: Many) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.einsum("ndyx,ndyx->nyx", features, features)
    return found


def _flat(features: Many) -> Matrix:
    """Return what is correlated, n x values: evened, in cells of twice the side, of length 1."""
    even = _evened(features)
    even = even[:, :, ::2] + even[:, :, 1::2]
    rows = (even[..., ::2] + even[..., 1::2]).reshape(len(features), -1)
    found: Matrix = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return found


def _mirrored(features: Many) -> Many:
    """Return the features that the pictures have when mirrored left to right."""
    turned = [-number % DIRECTIONS for number in range(DIRECTIONS)]
    return np.ascontiguousarray(features[:, turned, :, ::-1])


def _cut(features: Many, cut: Cut) -> Many:
    down, right = (_stretching(span) for span in cut)
    found: Many = down @ features @ right.T
    return found


def _spans(lengths: Sequence[float]) -> list[Span]:
    return [_ALL, *((at * (1 - long), long) for long in lengths for at in (0.0, 0.5, 1.0))]


_MIDDLE: Span = (0.1, 0.8)
# Of the picture, if it shows more than the training image.
_INNER: tuple[Cut, ...] = ((_MIDDLE, _MIDDLE), (_ALL, _MIDDLE), (_MIDDLE, _ALL))


@functools.cache
def _cuts() -> tuple[Cut, ...]:
    """Return the cuts of a training image; the first is the whole."""
    spans = _spans((0.87, 0.75))
    return tuple((down, right) for down in spans for right in spans)


def _is_coarse(cut: Cut) -> bool:
    """Whether it is tried on every training image: those between find no other."""
    return all(span == _ALL or span in _spans((0.75,)) for span in cut)


@functools.cache
def _shrinking(size: int) -> Matrix:
    """Return SIDE x size: the mean of what falls into each of SIDE parts, blurred."""
    edges = np.linspace(0, size, SIDE + 1)
    pixel = np.arange(size)
    upper = np.minimum(edges[1:, None], pixel + 1)
    share = (upper - np.maximum(edges[:-1, None], pixel)).clip(0)
    found: NDArray[np.float64] = _blurring(SIDE, BLUR) @ (share / share.sum(1, keepdims=True))
    return found.astype(np.float32)


@functools.cache
def _near() -> Matrix:
    """Return CELLS x CELLS: the mean of a cell and its neighbours."""
    return _blurring(CELLS, 0.8).astype(np.float32)


def _blurring(size: int, reach: float) -> NDArray[np.float64]:
    away = np.arange(size)[:, None] - np.arange(size)
    weights = np.exp(-0.5 * (away / reach) ** 2)
    found: NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return found


@functools.cache
def _pooling() -> Matrix:
    """Return CELLS x SIDE: the mean around each cell, nearer pixels weighing more."""
    at = (np.arange(SIDE) + 0.5) / SIDE * CELLS - 0.5
    weights: NDArray[np.float64] = (1 - np.abs(at - np.arange(CELLS)[:, None])).clip(0)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


@functools.cache
def _stretching(span: Span) -> Matrix:
    """Return CELLS x CELLS: stretch a span of cells over all of them."""
    start, length = span
    at = (((np.arange(CELLS) + 0.5) / CELLS * length + start) * CELLS - 0.5).clip(0, CELLS - 1)
    left = np.minimum(at.astype(int), CELLS - 2)
    found = np.zeros((CELLS, CELLS), np.float32)
    found[np.arange(CELLS), left] = 1 - (at - left)
    found[np.arange(CELLS), left + 1] = at - left
    return found
