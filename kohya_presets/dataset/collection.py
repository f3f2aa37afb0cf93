"""What is known of a dataset's images and captions when it is checked."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kohya_presets.dataset import subsets as subsets_of
from kohya_presets.dataset.caption import Caption
from kohya_presets.dataset.picture import Group, Header, Pixels
from kohya_presets.dataset.sizes import buckets, steps
from kohya_presets.dataset.sizes.buckets import Buckets
from kohya_presets.dataset.sizes.placement import Placement
from kohya_presets.dataset.sizes.steps import Epoch, Length, Picture
from kohya_presets.dataset.subsets import Subset
from kohya_presets.dataset.tokens import Counted


@dataclass(frozen=True)
class Item:
    """One image of a subset, and what was read of it.

    `text` is the caption that is trained, "" for none; `caption` is its file, if it has one.
    `counted` and `pixels` are None where they were not asked for, or could not be had.
    """

    subset: int  # its number in the collection
    header: Header
    caption: Caption | None = None
    text: str = ""
    counted: Counted | None = None
    weight_fault: str = ""  # why weighted_captions cannot read the caption
    placement: Placement | None = None
    refused: str = ""  # why sd-scripts stops at a picture of this size
    pixels: Pixels | None = None

    @property
    def file(self) -> Path:
        """The image."""
        return self.header.file


@dataclass(frozen=True)
class Collection:
    """The subsets of one training, their images, and what else lies beside them.

    `beside` has what is in each subset's folder and is none of its `items`. `masks` has the mask of
    an image, where its subset has masks. `trigger` is the word that is to call the concept, where
    it is given; `trigger_tokens` how many tokens it has, and `trigger_rank` the number of its token
    where it is one: see `tokens.Tokenizer.rank`.
    """

    subsets: tuple[Subset, ...]
    items: tuple[Item, ...] = ()
    beside: Mapping[int, tuple[Path, ...]] = field(default_factory=dict)
    masks: Mapping[Path, Header] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    trigger: str | None = None
    trigger_tokens: int | None = None
    trigger_rank: int | None = None

    @property
    def release(self) -> str:
        """The release of sd-scripts that reads it."""
        return self.subsets[0].release

    @functools.cached_property
    def unused(self) -> Mapping[int, str]:
        """Why sd-scripts leaves a subset out, by number."""
        return subsets_of.unused(self.subsets)

    def by_subset(self) -> Iterator[tuple[Item, ...]]:
        """Yield the images of each subset that is used."""
        for number in range(len(self.subsets)):
            if number not in self.unused and (found := self.of(number)):
                yield found

    @property
    def trained(self) -> list[Item]:
        """The images of the subsets that are used, without regularization images."""
        each = (item for items in self.by_subset() for item in items)
        return [item for item in each if not self.subset(item).is_reg]

    def of(self, number: int) -> tuple[Item, ...]:
        """Return the images of one subset."""
        return self._grouped.get(number, ())

    def subset(self, item: Item) -> Subset:
        """Return the subset that an image is of."""
        return self.subsets[item.subset]

    @functools.cached_property
    def epochs(self) -> Mapping[int, Epoch]:
        """What an epoch shows of each [[datasets]], by number; without images that are broken."""
        pictures: dict[int, list[Picture]] = {}
        for items in self.by_subset():
            for item in items:
                subset = self.subset(item)
                if item.placement:
                    shown = Picture(item.placement.bucket, subset.repeats, subset.is_reg)
                    pictures.setdefault(subset.dataset, []).append(shown)
        return {n: steps.epoch(found, self.batch(n)) for n, found in pictures.items()}

    def batch(self, dataset: int) -> int:
        """Return the batch size of one of the datasets."""
        every = (s.settings.dataset("batch_size") for s in self.subsets if s.dataset == dataset)
        return int(next(every, None) or 1)

    def length(self, *, processes: int = 1) -> Length:
        """Return how long the training is."""
        settings = self.subsets[0].settings
        return steps.length(
            steps.in_all(self.epochs.values()),
            accumulation=int(settings.train("gradient_accumulation_steps") or 1),
            processes=processes,
            epochs=settings.train("max_train_epochs"),
            steps=settings.train("max_train_steps"),
        )

    @functools.cached_property
    def _grouped(self) -> Mapping[int, tuple[Item, ...]]:
        found: dict[int, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.subset, []).append(item)
        return {number: tuple(items) for number, items in found.items()}


def placements(subset: Subset) -> Buckets | None:
    """Return the buckets of a subset's dataset; None where the resolution is not known.

    Settings that stop sd-scripts there are what `validate` is about.
    """
    made = buckets.of(subset.settings)
    return None if made is None or made.fault() else made
