"""Which bucket sd-scripts puts a picture into.

library/train_util.py (library/dataset.py from v0.11.0 on): BucketManager, BaseDataset.make_buckets,
adjust_min_max_bucket_reso_by_steps, BaseDataset.__getitem__; library/model_util.py:
make_bucket_resolutions; library/utils.py: resize_image. All sizes are (width, height) in pixels.
"""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass

from kohya_presets.dataset.sizes.placement import Placement, Refused, Size
from kohya_presets.sdscripts import options, releases
from kohya_presets.sdscripts.scripts import KNOWN
from kohya_presets.training import settings as settings_of
from kohya_presets.training.settings import Settings

# Commits between two releases whose buckets are not those of the release nearest to them.
_LIKE = {"gui-v22.3.1": "v0.7.0", "b8896aad4002": "v0.8.8", "8ebe858f8963": "v0.9.1"}


@dataclass(frozen=True)
class Buckets:
    """The buckets of one dataset, from its settings.

    `smallest`, `largest` and `step` are those of the settings: a release may round the first two.
    `multiple` is what the script wants `step` to be a multiple of. `exact` is true if pictures are
    neither sorted into buckets nor cached: sd-scripts then scales none of them. With `random_crop`
    the place of the crop is chance, and its size the same. `skip` is skip_image_resolution.
    """

    resolution: Size
    enabled: bool = False
    no_upscale: bool = False
    smallest: int = 256
    largest: int = 1024
    step: int = 64
    release: str = releases.DEFAULT
    multiple: int = 32
    exact: bool = False
    random_crop: bool = False
    skip: Size | None = None
    interpolation: str | None = None

    def fault(self) -> str | None:
        """Return why sd-scripts stops when it makes these buckets, or None.

        Of a dataset with metadata files, releases before v0.9.0 do not compare the smallest side.
        """
        if not self.enabled:
            return None
        if self.step < 1:
            return f"bucket_reso_steps is {self.step}, less than 1"
        smallest, largest = self._limits
        if smallest > min(self.resolution):
            return f"min_bucket_reso is {smallest}, more than the resolution"
        if largest < max(self.resolution):
            return f"max_bucket_reso is {largest}, less than the resolution"
        step = f"bucket_reso_steps ({self.step})"
        if not self.no_upscale and self._divides_by_zero():
            return f"min_bucket_reso is {self.smallest}, less than {step}"
        if not self.no_upscale and min(map(min, self.sizes)) < 1:
            return f"the resolution is too small for {step} and max_bucket_reso ({self.largest})"
        if self.step % self.multiple:  # verify_bucket_reso_steps
            return f"bucket_reso_steps is {self.step}, not a multiple of {self.multiple}"
        return None

    @functools.cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes that a picture may get, sorted; with `no_upscale` any multiple of the step."""
        if not self.enabled:
            return (self.resolution,)
        if self._is("<0.7.1"):
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

    def place(self, width: int, height: int, believed: Size | None = None) -> Placement:
        """Return what becomes of a picture of this size.

        `believed` is the size that sd-scripts takes it to have, where that is another one: it sorts
        the picture by that, and scales what it loads.

        Raises:
            Refused: sd-scripts stops at it.
        """
        if self.exact and not self.enabled:
            return self._as_it_is(width, height)
        fits = self._shrunk if self.enabled and self.no_upscale else self._nearest
        if believed and min(believed) < 1 and self.no_upscale:
            raise Refused("this release does not find its size, which bucket_no_upscale needs")
        bucket, scaled = fits(*(believed or (width, height)))
        by = None if scaled == (width, height) else self._by((width, height), scaled)
        return Placement((width, height), bucket, scaled, by)

    def skips(self, width: int, height: int) -> bool:
        """Return whether skip_image_resolution leaves out a picture of this size: by its area."""
        return self.skip is not None and width * height <= math.prod(self.skip)

    def _is(self, spec: str) -> bool:
        """Return whether the release is one of `spec`, as far as buckets are concerned."""
        return _is_in(self.release, spec)

    def _divides_by_zero(self) -> bool:
        """Return whether a side would be 0, in pixels or (v0.7.0) in whole steps."""
        smallest, _ = self._limits
        if self._is("<0.7.1"):
            return smallest < self.step
        return smallest < 1 and smallest % self.step == 0

    def _as_it_is(self, width: int, height: int) -> Placement:
        """Return a picture that has the resolution, or is large enough to be cut at random."""
        wide, high = self.resolution
        if width < wide or height < high:
            raise Refused(f"it is smaller than {wide} x {high}, and nothing enlarges it")
        if (width, height) != self.resolution and not self.random_crop:
            raise Refused(f"it is larger than {wide} x {high}, and nothing scales or crops it")
        return Placement((width, height), self.resolution, (width, height))

    def _by(self, original: Size, scaled: Size) -> str:
        """Return the interpolation with which a picture is scaled."""
        if self._is("<0.9.0"):
            return "area"
        # v0.9 counts a side that stays as it is as enlarged.
        most = -1 if self._is("<0.10.0") else 0
        shrunk = all(s - o <= most for o, s in zip(original, scaled, strict=True))
        return self.interpolation or ("area" if shrunk else "lanczos")

    @functools.cached_property
    def _limits(self) -> tuple[int, int]:
        """The smallest and the largest side; from v0.9.0 on rounded to whole steps, outwards."""
        smallest, largest = self.smallest, self.largest
        if not self._is("<0.9.0"):
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
            if not high or not self._steps(wide / ratio):
                raise self._thin()
            by_width = wide / self._steps(wide / ratio)
            by_height = self._steps(high * ratio) / high
            if abs(by_width - ratio) < abs(by_height - ratio):
                scaled = (wide, int(wide / ratio + 0.5))
            else:
                scaled = (int(high * ratio + 0.5), high)
        if min(scaled) < self.step:
            raise self._thin()
        return (scaled[0] - scaled[0] % self.step, scaled[1] - scaled[1] % self.step), scaled

    def _thin(self) -> Refused:
        step = f"bucket_reso_steps ({self.step})"
        return Refused(
            f"a side is shorter than {step}, and bucket_no_upscale lets nothing enlarge it"
        )

    def _steps(self, length: float) -> int:
        rounded = int(length + 0.5)
        return rounded - rounded % self.step


def _is_in(release: str, spec: str) -> bool:
    return options.is_in(_LIKE.get(release, release), spec)


def of(settings: Settings) -> Buckets | None:
    """Return the buckets of a dataset; None where its resolution is not known or malformed.

    If the training config is missing or faces are cropped, pictures count as cached.
    """
    if (resolution := settings.sides()) is None:
        return None

    def number(key: str, default: int) -> int:
        value = settings.dataset(key)
        return value if isinstance(value, int) else default

    cached = any(settings.train(key) for key in ("cache_latents", "cache_latents_to_disk"))
    unknown = not settings.is_whole or settings.dataset("face_crop_aug_range") is not None
    kind = KNOWN.get(settings.script)
    return Buckets(
        resolution,
        bool(settings.dataset("enable_bucket")),
        bool(settings.dataset("bucket_no_upscale")),
        number("min_bucket_reso", 256),
        number("max_bucket_reso", 1024),
        number("bucket_reso_steps", 64),
        settings.release,
        kind.multiple if kind else 32,
        exact=not cached and not unknown,
        random_crop=bool(settings.dataset("random_crop")),
        skip=settings_of.sides(settings.dataset("skip_image_resolution")),
        interpolation=settings.dataset("resize_interpolation"),
    )
