"""Axes: where they begin and end, and round numbers on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A place on an axis, what stands there, and smaller below it."""

    value: float
    label: str
    small: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, which differ; `label` says what it measures, with its unit."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    label: str = ""

    def share(self, value: float) -> float:
        """Return where a value lies: 0 at `low`, 1 at `high`."""
        return (value - self.low) / (self.high - self.low)


def over(
    values: Sequence[float], label: str = "", *, count: int = 6, from_zero: bool = False
) -> Axis:
    """Return an axis over all the values, which ends at round numbers, with about `count` ticks."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if from_zero:
        low = min(0.0, low)
    if low == high:
        apart = abs(low) / 2 or 1.0
        low, high = (0.0 if from_zero and low >= 0 else low - apart), high + apart
    step = round_step((high - low) / max(1, count - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(Tick(n * step, number(n * step, step)) for n in range(first, last + 1))
    return Axis(first * step, last * step, ticks, label)


def steps(low: float, high: float, label: str, *, count: int = 8) -> Axis:
    """Return an axis of steps, epochs or seconds, which begins and ends where they do."""
    high = high if high > low else low + 1
    step = max(1.0, round_step((high - low) / count))
    first = math.ceil(low / step)
    ticks = tuple(
        Tick(n * step, number(n * step, step)) for n in range(first, math.floor(high / step) + 1)
    )
    return Axis(low, high, ticks, label)


def round_step(about: float) -> float:
    """Return the least of 1, 2, 2.5, 5 and 10, times a power of ten, that is not below `about`."""
    power = 10.0 ** math.floor(math.log10(about)) if about > 0 else 1.0
    return next(by * power for by in (1, 2, 2.5, 5, 10, 20) if by * power >= about * (1 - 1e-9))


def number(value: float, step: float | None = None) -> str:
    """Return a number for a reader: "6,000", "0.05", "1e-06"; with `step`, as exact as that is."""
    if not math.isfinite(value):
        return {math.inf: "infinite", -math.inf: "-infinite"}.get(value, "NaN")
    size = max(abs(value), abs(step or 0))
    if value == 0:
        return "0"
    if size < 1e-3 or size >= 1e9:
        return f"{value:.3g}"
    if step is None:
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += round(step * 10**digits, 6) % 1 != 0  # 0.25 takes one more than its power says
    return f"{value:,.{digits}f}"
