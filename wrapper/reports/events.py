"""All numbers that a training logged, from TensorBoard's files; each attempt has a file of its own.

Tags by release (read in the sources of v0.7.0 to v0.11.1): the loss of a step is `loss` in
sdxl_train.py, `loss/current` and `loss/average` in sdxl_train_network.py; of an epoch it is
`loss/epoch`, from v0.10.0 on `loss/epoch_average` in the latter. Rates are `lr/...`, and
`lr/d*lr/...` where the optimizer has one of its own (Prodigy, D-Adaptation, and our AdaCoor).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wrapper.watching import events

LOSS = ("loss", "loss/current")
EPOCH = ("loss/epoch", "loss/epoch_average")
RATE, OWN_RATE = "lr/", "lr/d*lr"
LARGEST = 2**28  # bytes of a file that is read: 100 times a training of 6,000 steps
LONGEST = 120  # letters of a tag


class Scalar(NamedTuple):
    """One number: at which step, and when it was logged, in seconds since 1970."""

    step: int
    value: float
    wall: float


Scalars = Mapping[str, Sequence[Scalar]]


@dataclass(frozen=True)
class Logged:
    """What was logged, by tag; `ends` are when each attempt logged last, in seconds since 1970."""

    scalars: Scalars
    ends: tuple[float, ...]


def read(folder: Path) -> Logged:
    """Return what was logged in all files of a folder, by tag and in the order of the steps.

    Where an attempt went on from a state, what the one before it logged of later steps is left
    out: that was trained again.
    """
    found: dict[str, list[Scalar]] = {}
    ends = []
    for file in _files(folder):
        own = _of(file)
        ends += [max(p.wall for points in own.values() for p in points)] if own else []
        for tag, points in own.items():
            found[tag] = merged((found.get(tag, []), points))
    return Logged(found, tuple(ends))


def merged(attempts: Iterable[Sequence[Scalar]]) -> list[Scalar]:
    """Return the numbers of several attempts as one training: the later one counts."""
    found: list[Scalar] = []
    for points in attempts:
        if points:
            first = min(point.step for point in points)
            found = [point for point in found if point.step < first]
            found += points
    return found


def _files(folder: Path) -> list[Path]:
    """Return the files, the oldest first: their names have the second in which they began."""
    found = (f for f in folder.rglob("events.out.tfevents.*") if not f.is_symlink())
    return sorted(found, key=lambda file: (_begun(file), file))


def _begun(file: Path) -> float:
    try:
        return float(file.name.split(".")[3])
    except (IndexError, ValueError):
        return 0.0


def _of(file: Path) -> dict[str, list[Scalar]]:
    found: dict[bytes, list[Scalar]] = {}
    try:
        data = file.read_bytes() if file.stat().st_size <= LARGEST else b""
    except OSError:
        return {}
    for event, _ in events.records(data):
        for value in events.values(event):
            points = found.setdefault(value.tag[:LONGEST], [])
            points.append(Scalar(value.step, value.value, value.wall))
    return {tag.decode("utf-8", "replace"): points for tag, points in found.items()}
