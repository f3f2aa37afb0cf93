"""Series of numbers made small enough to draw: a smoothed line, and a band of all its values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Point = tuple[float, float]

COLUMNS = 1000  # of a band, at most: a plot is no wider
POINTS = 500  # of a line, at most
SMOOTHING = 0.98  # what a step adds to its moving average is 1 less this, for long series


class Band(NamedTuple):
    """One column of a band: all values between `low` and `high` at about `x`."""

    x: float
    low: float
    high: float


def finite(points: Iterable[Point]) -> list[Point]:
    """Return the points that can be drawn, by their x: NaN and infinite ones cannot."""
    return sorted(p for p in points if math.isfinite(p[0]) and math.isfinite(p[1]))


def smoothed(points: Sequence[Point], *, weight: float | None = None) -> list[Point]:
    """Return the exponential moving average of points in the order of x.

    `weight` is what is kept of the average at each point, from 0 to 1; None takes less of short
    series, so that a tenth of the points still shows. The start does not count as 0: the average
    is divided by 1 - weight^n, as Adam does (Kingma and Ba 2014) and TensorBoard's plots do.
    """
    if weight is None:
        weight = min(SMOOTHING, 1 - 10 / max(10, len(points)))
    found, average, power = [], 0.0, 1.0
    for x, y in points:
        average = weight * average + (1 - weight) * y
        power *= weight
        found.append((x, average / (1 - power)))
    return found


def band(points: Sequence[Point], *, columns: int = COLUMNS) -> list[Band]:
    """Return the least and greatest value in each of at most so many columns of points.

    The points are in the order of x. A column holds equally many of them.
    """
    made = []
    for group in _groups(points, columns):
        values = [y for _, y in group]
        made.append(Band(group[len(group) // 2][0], min(values), max(values)))
    return made


def thinned(points: Sequence[Point], *, most: int = POINTS) -> list[Point]:
    """Return at most so many of the points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return [*points]
    last = len(points) - 1
    return [points[round(at * last / (most - 1))] for at in range(most)]


def _groups(points: Sequence[Point], count: int) -> Iterable[Sequence[Point]]:
    count = min(count, len(points))
    for at in range(count):
        yield points[at * len(points) // count : (at + 1) * len(points) // count]
