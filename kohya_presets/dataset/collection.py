"""What is known of a dataset's images and captions when it is checked."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.dataset import subsets as subsets_of
from kohya_presets.dataset.subsets import Subset


@dataclass(frozen=True)
class Item:
    """One image of a subset."""

    file: Path
    subset: int  # its number in the collection


@dataclass(frozen=True)
class Collection:
    """The subsets of one training, their images, and what else lies beside them.

    `beside` has the files of each subset's folder that are no image to sd-scripts.
    """

    subsets: tuple[Subset, ...]
    items: tuple[Item, ...] = ()
    beside: Mapping[int, tuple[Path, ...]] = frozenset()  # type: ignore[assignment]

    @property
    def release(self) -> str:
        """The release of sd-scripts that reads it."""
        return self.subsets[0].release

    @functools.cached_property
    def unused(self) -> Mapping[int, str]:
        """Why sd-scripts leaves a subset out, by number."""
        return subsets_of.unused(self.subsets)

    def by_subset(self) -> Iterator[tuple[Item, ...]]:
        """Yield the images of each subset that has some."""
        for number in range(len(self.subsets)):
            if found := self.of(number):
                yield found

    def of(self, number: int) -> tuple[Item, ...]:
        """Return the images of one subset."""
        return self._grouped.get(number, ())

    @functools.cached_property
    def _grouped(self) -> Mapping[int, tuple[Item, ...]]:
        found: dict[int, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.subset, []).append(item)
        return {number: tuple(items) for number, items in found.items()}
