"""Rivals run in turn, round after round, so that a busy machine slows all alike; and their table.

They are compared by time per parameter, or by time per byte that the formula must move: each
tensor that it reads, and each that it writes, once. How fast memory can be is told by a `copy_` in
the same rounds. (A processor also reads what a copy overwrites, so that an update in place may go
faster than that.)

Ours must be ahead. Where it moves bytes as fast as memory can, nothing can be ahead of what does so
too: there, level is enough. Behind is a failure anywhere.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

COPIED = 2**26  # numbers in fp32, far more than a cache holds
SURELY = 0.75  # of the rounds; equals win 12 of 15 against each other once in 57 times
LIMIT = 0.9  # of the bytes that `copy_` moves in a second: as fast as memory can
LEAST = 0.9  # of our time for a unit: whoever takes less is ahead of us, however few rounds say so
COLUMNS = ("ms", "ns/param", "spread", "B kept", "B moved", "GB/s", "of copy_", "x ours", "we won")
Unit = Literal["byte", "parameter"]  # that a time is for


@dataclass(frozen=True)
class Rival:
    """A way to do it. `moved` (what must be read and written) and `state`: bytes per parameter."""

    name: str
    run: Callable[[], object]
    moved: int
    state: int


@dataclass(frozen=True)
class Timing:
    """The seconds that a rival took for so many parameters in each round."""

    rival: Rival
    parameters: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the round in the middle."""
        return statistics.median(self.seconds)

    def per(self, unit: Unit) -> tuple[float, ...]:
        """Nanoseconds for each parameter, or each byte that must be moved, in each round."""
        units = self.parameters * (self.rival.moved if unit == "byte" else 1)
        return tuple(1e9 * s / units for s in self.seconds)

    @property
    def spread(self) -> float:
        """How far the middle half of the rounds is spread, as part of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / self.median

    def ratios(self, ours: Timing, unit: Unit) -> tuple[float, ...]:
        """Return how much longer than ours a byte or a parameter took, in each round."""
        return tuple(a / b for a, b in zip(self.per(unit), ours.per(unit), strict=True))


def together(parts: Sequence[tuple[Timing, int]]) -> Timing:
    """Return the times of a whole from those of its parts, each of which is there so many times."""
    rounds = zip(*(timing.seconds for timing, _ in parts), strict=True)
    return Timing(
        parts[0][0].rival,
        sum(times * timing.parameters for timing, times in parts),
        tuple(sum(s * n for s, (_, n) in zip(seconds, parts, strict=True)) for seconds in rounds),
    )


def options(
    about: str | None,
    *,
    parameters: float = 2e8,
    of: str = "of the sample, about",
    rounds: int = 15,
) -> argparse.Namespace:
    """Return what the command line says: `parameters` to work on, `rounds`, `threads`."""
    parser = argparse.ArgumentParser(description=about)
    add = parser.add_argument
    add("--parameters", type=float, default=parameters, help=f"{of} (%(default).1e)")
    add("--rounds", type=int, default=rounds, help="each runs every rival once (%(default)s)")
    add("--threads", type=int, default=torch.get_num_threads(), help="on the CPU (%(default)s)")
    found = parser.parse_args()
    torch.set_num_threads(found.threads)
    return found


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def setting(on: torch.device) -> str:
    """Return what the numbers are measured on, in words."""
    name = torch.cuda.get_device_name(on) if on.type == "cuda" else "CPU"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def measure(
    rivals: Sequence[Rival], *, parameters: int, rounds: int, on: torch.device
) -> tuple[Timing, ...]:
    """Return the times of all, those of `copy_` last, after a round that does not count."""
    source = torch.ones(COPIED, device=on)
    target = torch.empty_like(source)
    everyone = [*rivals, Rival("copy_", lambda: target.copy_(source), 8, 0)]
    seconds: dict[str, list[float]] = {rival.name: [] for rival in everyone}
    turn = everyone
    for number in range(rounds + 1):
        for rival in turn:
            _settle(on)
            started = time.perf_counter()
            rival.run()
            _settle(on)
            if number:
                seconds[rival.name].append(time.perf_counter() - started)
        turn = [*turn[1:], turn[0]]  # so that no one always begins
    counts = (*(parameters for _ in rivals), COPIED)
    return tuple(
        Timing(rival, count, tuple(seconds[rival.name]))
        for rival, count in zip(everyone, counts, strict=True)
    )


def show(
    ours: Timing,
    rivals: Sequence[Timing],
    copy: Timing,
    *,
    unit: Unit = "byte",
    told: Collection[str] = (),
) -> list[str]:
    """Print a line for each, and what that says of ours; return what of it is a failure.

    B kept and moved are for each parameter. x ours, and the rounds that we won, are for each unit.
    Rivals named in `told` are printed, but being behind them is no failure.
    """
    table(ours, rivals, copy, unit=unit)
    return judge(ours, rivals, copy, unit=unit, told=told)


def table(ours: Timing, rivals: Sequence[Timing], copy: Timing, *, unit: Unit) -> None:
    """Print a line for each of them."""
    print(" " * 30 + "".join(f"{column:>9}" for column in COLUMNS))
    print(_line(ours, copy))
    for rival in rivals:
        ratios = rival.ratios(ours, unit)
        print(f"{_line(rival, copy)}{statistics.median(ratios):9.2f}{_won(ratios):9.0%}")
    print(_line(copy, copy))


def judge(
    ours: Timing,
    rivals: Sequence[Timing],
    copy: Timing,
    *,
    unit: Unit,
    told: Collection[str] = (),
) -> list[str]:
    """Print how ours does against each; return what of it is a failure, but not of those told."""
    verdicts = {rival.rival.name: verdict(ours, rival, copy, unit) for rival in rivals}
    print("\n".join(said for said, _ in verdicts.values()))
    return [said for name, (said, fails) in verdicts.items() if fails and name not in told]


def verdict(ours: Timing, rival: Timing, copy: Timing, unit: Unit = "byte") -> tuple[str, bool]:
    """Return how ours does against a rival, in words, and whether that is a failure."""
    ratios = rival.ratios(ours, unit)
    won, ratio, name = _won(ratios), statistics.median(ratios), ours.rival.name
    than = f"{rival.rival.name}, which takes {ratio:.2f} of its time for a {unit}"
    if won >= SURELY:
        return f"{name} is ahead of {than}", False
    if won <= 1 - SURELY or ratio < LEAST:  # too few rounds, or too noisy ones, hide no such gap
        return f"{name} is behind {than}", True
    of_copy = statistics.median(copy.ratios(ours, "byte"))
    if of_copy >= LIMIT:
        return f"{name} is at the memory's limit ({of_copy:.0%} of copy_), level with {than}", False
    return f"{name} is level with {than}, and at {of_copy:.0%} of copy_ only", True


def _line(timing: Timing, copy: Timing) -> str:
    byte = statistics.median(timing.per("byte"))
    return (
        f"{timing.rival.name:<30}{1e3 * timing.median:9.1f}"
        f"{1e9 * timing.median / timing.parameters:9.3f}{timing.spread:9.0%}"
        f"{timing.rival.state:9d}{timing.rival.moved:9d}{1 / byte:9.1f}"
        f"{statistics.median(copy.ratios(timing, 'byte')):9.0%}"
    )


def _won(ratios: Sequence[float]) -> float:
    return sum(ratio > 1 for ratio in ratios) / len(ratios)


def _settle(on: torch.device) -> None:
    if on.type == "cuda":
        torch.cuda.synchronize(on)
