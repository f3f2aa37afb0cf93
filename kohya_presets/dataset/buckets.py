"""Which bucket sd-scripts puts a picture into, and what it cuts off.

library/train_util.py (library/dataset.py from v0.11.0 on): BucketManager, BaseDataset.make_buckets,
adjust_min_max_bucket_reso_by_steps, trim_and_resize_if_required; library/model_util.py:
make_bucket_resolutions. All sizes are (width, height) in pixels.
"""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

from kohya_presets.sdscripts import options, releases
from kohya_presets.training.settings import Settings

Size = tuple[int, int]


class Placement(NamedTuple):
    """What becomes of a picture: its bucket, and the size that it is scaled to before cropping."""

    original: Size
    bucket: Size
    scaled: Size

    @property
    def scale(self) -> float:
        """How much larger it gets: above 1 the trainer enlarges it."""
        return max(s / o for s, o in zip(self.scaled, self.original, strict=True))

    @property
    def cropped(self) -> Size:
        """The pixels of the scaled picture that are cut off, in width and in height."""
        return self.scaled[0] - self.bucket[0], self.scaled[1] - self.bucket[1]

    @property
    def lost(self) -> float:
        """The share of the picture that is cut off, from 0 to 1."""
        return 1 - math.prod(self.bucket) / math.prod(self.scaled)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What remains, as left, upper, right and lower pixel of the picture itself, centred."""
        across = self.original[0] / self.scaled[0]
        down = self.original[1] / self.scaled[1]
        left, top = self.cropped[0] // 2, self.cropped[1] // 2
        right, bottom = left + self.bucket[0], top + self.bucket[1]
        return left * across, top * down, right * across, bottom * down


@dataclass(frozen=True)
class Buckets:
    """The buckets of one dataset, from its settings.

    `smallest`, `largest` and `step` are those of the settings: a release may round the first two.
    """

    resolution: Size
    enabled: bool = False
    no_upscale: bool = False
    smallest: int = 256
    largest: int = 1024
    step: int = 64
    release: str = releases.DEFAULT

    def fault(self) -> str | None:
        """Return why sd-scripts stops when it makes these buckets, or None."""
        if not self.enabled:
            return None
        smallest, largest = self._limits
        if smallest > min(self.resolution):
            return f"min_bucket_reso is {smallest}, more than the resolution"
        if largest < max(self.resolution):
            return f"max_bucket_reso is {largest}, less than the resolution"
        if self.step < 1 or self.step % 32:  # verify_bucket_reso_steps(32) of SDXL's scripts
            return f"bucket_reso_steps is {self.step}, not a multiple of 32"
        return None

    @functools.cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes that a picture may get, sorted; with `no_upscale` any multiple of the step."""
        if not self.enabled:
            return (self.resolution,)
        if releases.satisfies(options.nearest_release(self.release), "<0.7.1"):
            return tuple(sorted(self._of_old()))
        area = math.prod(self.resolution)
        side = int(math.sqrt(area) // self.step) * self.step
        found = {(side, side)}
        smallest, largest = self._limits
        for width in range(smallest, largest + 1, self.step):
            height = min(largest, area // width // self.step * self.step)
            if height >= smallest:
                found |= {(width, height), (height, width)}
        return tuple(sorted(found))

    def place(self, width: int, height: int) -> Placement:
        """Return what becomes of a picture of this size."""
        fits = self._shrunk if self.enabled and self.no_upscale else self._nearest
        bucket, scaled = fits(width, height)
        return Placement((width, height), bucket, scaled)

    @functools.cached_property
    def _limits(self) -> tuple[int, int]:
        """The smallest and the largest side; from v0.9.0 on rounded to whole steps, outwards."""
        smallest, largest = self.smallest, self.largest
        if not releases.satisfies(options.nearest_release(self.release), "<0.9.0"):
            smallest -= smallest % self.step
            largest += -largest % self.step
        return smallest, largest

    def _of_old(self) -> set[Size]:
        """Return the sizes of v0.7.0, which counts the area in whole steps."""
        step, (smallest, largest) = self.step, self._limits
        area = (self.resolution[0] // step) * (self.resolution[1] // step)
        side = int(math.sqrt(area)) * step
        found = {(side, side)}
        for width in range(smallest, largest + 1, step):
            height = min(largest, area // (width // step) * step)
            found |= {(width, height), (height, width)}
        return found

    @functools.cached_property
    def _ratios(self) -> tuple[list[float], list[Size]]:
        """The ratios of width to height, rising, each with the first size that has it."""
        first: dict[float, Size] = {}
        for size in self.sizes:
            first.setdefault(size[0] / size[1], size)
        rising = sorted(first)
        return rising, [first[ratio] for ratio in rising]

    def _nearest(self, width: int, height: int) -> tuple[Size, Size]:
        """Return the size whose ratio is nearest, and the size that covers it."""
        ratio = width / height
        bucket = (width, height) if (width, height) in self.sizes else self._by_ratio(ratio)
        wider = ratio > bucket[0] / bucket[1]
        scale = bucket[1] / height if wider else bucket[0] / width
        return bucket, (int(width * scale + 0.5), int(height * scale + 0.5))

    def _by_ratio(self, ratio: float) -> Size:
        ratios, sizes = self._ratios
        at = bisect.bisect_left(ratios, ratio)
        near = [i for i in (at - 1, at) if 0 <= i < len(ratios)]
        least = min(abs(ratios[i] - ratio) for i in near)
        # Of two as near, the first in the sorted list of sizes, as numpy's argmin takes it.
        return min(sizes[i] for i in near if abs(ratios[i] - ratio) == least)

    def _shrunk(self, width: int, height: int) -> tuple[Size, Size]:
        """Return the size without enlarging: whole steps, of a picture that is scaled down only."""
        ratio, scaled = width / height, (width, height)
        area = math.prod(self.resolution)
        if width * height > area:
            wide = self._steps(math.sqrt(area * ratio))
            high = self._steps(area / math.sqrt(area * ratio))
            by_width = wide / self._steps(wide / ratio)
            by_height = self._steps(high * ratio) / high
            if abs(by_width - ratio) < abs(by_height - ratio):
                scaled = (wide, int(wide / ratio + 0.5))
            else:
                scaled = (int(high * ratio + 0.5), high)
        return (scaled[0] - scaled[0] % self.step, scaled[1] - scaled[1] % self.step), scaled

    def _steps(self, length: float) -> int:
        rounded = int(length + 0.5)
        return rounded - rounded % self.step


def of(settings: Settings) -> Buckets | None:
    """Return the buckets of a dataset; None where its resolution is not known or malformed."""
    if (sides := settings.sides()) is None:
        return None

    def number(key: str, default: int) -> int:
        value = settings.dataset(key)
        return value if isinstance(value, int) and value > 0 else default

    return Buckets(
        sides,
        bool(settings.dataset("enable_bucket")),
        bool(settings.dataset("bucket_no_upscale")),
        number("min_bucket_reso", 256),
        number("max_bucket_reso", 1024),
        number("bucket_reso_steps", 64),
        settings.release,
    )
