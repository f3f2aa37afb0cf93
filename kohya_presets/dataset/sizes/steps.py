"""How many steps a training takes: images by repeats, sorted into buckets, in batches.

A batch has pictures of one bucket, so each bucket's last batch may be small. library/train_util.py:
DreamBoothDataset, BaseDataset.make_buckets; sdxl_train.py: train.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kohya_presets.dataset.sizes.placement import Size


class Picture(NamedTuple):
    """One picture of a dataset: its bucket, and how often an epoch shows it."""

    bucket: Size
    repeats: int = 1
    is_reg: bool = False


@dataclass(frozen=True)
class Epoch:
    """What one epoch shows, in one process: pictures with repeats, and batches, by bucket."""

    pictures: Mapping[Size, int]
    batches: Mapping[Size, int]

    @property
    def length(self) -> int:
        """How many batches an epoch has."""
        return sum(self.batches.values())

    @property
    def seen(self) -> int:
        """How many pictures an epoch shows, repeats counted."""
        return sum(self.pictures.values())


def epoch(pictures: Sequence[Picture], batch_size: int) -> Epoch:
    """Return what an epoch of one dataset shows."""
    shown: Counter[Size] = Counter()
    for picture, times in zip(pictures, _times(pictures), strict=True):
        if times:
            shown[picture.bucket] += times
    size = max(1, batch_size)
    return Epoch(shown, {bucket: -(-count // size) for bucket, count in shown.items()})


def in_all(epochs: Iterable[Epoch]) -> int:
    """Return how many batches an epoch of several datasets has."""
    return sum(one.length for one in epochs)


@dataclass(frozen=True)
class Length:
    """How long a training is: `steps` of the optimizer, `by_epoch` of them in each epoch."""

    by_epoch: int
    steps: int

    @property
    def epochs(self) -> int:
        """How many epochs begin."""
        return -(-self.steps // self.by_epoch) if self.by_epoch else 0

    def seconds(self, steps_per_second: float) -> float:
        """Return how long it takes at a measured pace: the it/s of sd-scripts' progress bar."""
        return self.steps / steps_per_second

    def cost(self, steps_per_second: float, an_hour: float) -> float:
        """Return what it costs on a machine of so much money an hour, in the same money."""
        return self.seconds(steps_per_second) / 3600 * an_hour


def length(
    batches: int,
    *,
    accumulation: int = 1,
    processes: int = 1,
    epochs: int | None = None,
    steps: int | None = None,
) -> Length:
    """Return the length of a training whose epoch has so many batches.

    The processes share the batches. `epochs` (max_train_epochs) wins over `steps`
    (max_train_steps); sdxl_train.py divides by processes and accumulation and rounds up once.
    """
    by_epoch = math.ceil(math.ceil(batches / processes) / accumulation)
    if epochs is not None:
        return Length(by_epoch, epochs * math.ceil(batches / processes / accumulation))
    return Length(by_epoch, steps or 0)


def _times(pictures: Sequence[Picture]) -> list[int]:
    """Return how often each picture is shown: regularization ones fill up to the others' number.

    They are taken from the front until there are as many; where they are too few, each is shown
    once more, again from the front.
    """
    wanted = sum(picture.repeats for picture in pictures if not picture.is_reg)
    times = [0 if picture.is_reg else picture.repeats for picture in pictures]
    regular = [at for at, picture in enumerate(pictures) if picture.is_reg]
    shown, first = 0, True
    while regular and shown < wanted:
        for at in regular:
            more = pictures[at].repeats if first else 1
            times[at] += more
            shown += more
            if shown >= wanted:
                break
        first = False
    return times
