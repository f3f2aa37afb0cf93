"""What becomes of one picture: its bucket, how it is scaled, and what is cut off.

library/train_util.py (library/dataset.py from v0.11.0 on): trim_and_resize_if_required and
BucketManager.get_crop_ltrb. All sizes are (width, height) in pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

Size = tuple[int, int]


class Refused(ValueError):
    """The reason why sd-scripts stops at a picture of this size."""


class Placement(NamedTuple):
    """What becomes of a picture: its bucket, and the size that it is scaled to before cropping.

    `interpolation` is a name as resize_interpolation takes it; None where nothing is scaled.
    """

    original: Size
    bucket: Size
    scaled: Size
    interpolation: str | None = None

    @property
    def scale(self) -> float:
        """How much larger it gets: above 1 the trainer enlarges it."""
        return max(s / o for s, o in zip(self.scaled, self.original, strict=True))

    @property
    def enlarged(self) -> bool:
        """Whether the trainer makes it larger."""
        return self.scale > 1

    @property
    def stretched(self) -> float:
        """How much more it is scaled in one direction than in the other, 1 or more."""
        wide, high = (s / o for s, o in zip(self.scaled, self.original, strict=True))
        return max(wide, high) / min(wide, high)

    @property
    def cropped(self) -> Size:
        """The pixels of the scaled picture that are cut off, in width and in height."""
        return self.scaled[0] - self.bucket[0], self.scaled[1] - self.bucket[1]

    @property
    def lost(self) -> float:
        """The share of the picture that is cut off, from 0 to 1."""
        return 1 - math.prod(self.bucket) / math.prod(self.scaled)

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """The pixels that are cut off at the left, top, right and bottom, from the centre's crop.

        Of an odd number, the right or the bottom loses one more.
        """
        left, top = self.cropped[0] // 2, self.cropped[1] // 2
        return left, top, self.cropped[0] - left, self.cropped[1] - top

    @property
    def told(self) -> Size:
        """The crop (left, top) that SDXL is told of, with its size: half of what is empty.

        BucketManager.get_crop_ltrb takes it from the whole picture laid into the bucket, so it is
        not what `margins` says.
        """
        width, height = self.bucket
        ratio, inside = self.original[0] / self.original[1], width / height
        if inside > ratio:
            return int((width - height * ratio) // 2), 0
        return 0, int((height - width / ratio) // 2)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What remains, as left, upper, right and lower pixel of the picture itself, centred."""
        across = self.original[0] / self.scaled[0]
        down = self.original[1] / self.scaled[1]
        left, top = self.margins[:2]
        right, bottom = left + self.bucket[0], top + self.bucket[1]
        return left * across, top * down, right * across, bottom * down
