"""Pictures as they are trained, small: cropped to their bucket, turned and coloured as stored.

sd-scripts opens a picture with Pillow and converts it to RGB: it does not turn it by EXIF, and
drops its transparency (library/train_util.py, load_image).
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from wrapper.data.reading import headers
from wrapper.system import workers

Progress = Callable[[int, int], None]  # how many are done, of how many
Box = tuple[float, float, float, float]

QUALITY = 80  # of WebP
LOWER = {65: 0.75, 50: 0.6, 35: 0.48, 20: 0.33}  # and what is left of its bytes then, about
SMALLER = 0.9  # of a side that should do, where even the lowest quality does not
METHOD = 4  # WebP's effort: 6 takes twice the time for 2% less
LONGEST = 2000  # pixels of a side
NEARLY = 0.9  # of a side: so near, a JPEG need not be decoded larger


class Wanted(NamedTuple):
    """A thumbnail to be made: of a part of a picture, so many pixels in area and bytes at most."""

    number: int
    file: Path
    box: Box | None  # left, upper, right and lower pixel as stored; None: all of it
    shape: tuple[int, int]  # its width and height, but for scale
    area: int
    most: int  # bytes


class Made(NamedTuple):
    """A thumbnail as WebP, its width and height; or why there is none."""

    number: int
    webp: bytes = b""
    size: tuple[int, int] = (0, 0)
    fault: str = ""


def make(
    wanted: Sequence[Wanted],
    *,
    on_progress: Progress | None = None,
    cores: int | None = None,
) -> list[Made]:
    """Return the thumbnails in the order in which they are wanted, made with all cores."""
    found: dict[int, Made] = {}
    making = workers.each(one, wanted, lost=_lost, workers=cores)
    try:
        for made in making:
            found[made.number] = made
            if on_progress:
                on_progress(len(found), len(wanted))
    finally:
        making.close()
    return [found[one.number] for one in wanted]


def one(wanted: Wanted) -> Made:
    """Return a thumbnail, or why it cannot be made."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EXIF and large pictures: `headers` tells
            with Image.open(wanted.file) as image:
                small = _shrunk(image, wanted)
        return Made(wanted.number, *_encoded(small, wanted.most))
    except headers.FAULTS as error:
        return Made(wanted.number, fault=headers.told(error))


def _shrunk(image: Image.Image, wanted: Wanted) -> Image.Image:
    """Return what is trained of a picture, as RGB.

    Raises:
        OSError: the picture is truncated or damaged.
    """
    stored = image.size
    left, top, right, bottom = wanted.box or (0, 0, *stored)
    width, height = _size(wanted.shape, min(wanted.area, (right - left) * (bottom - top)))
    if image.format in ("JPEG", "MPO"):  # decoded at half or a quarter, where that is enough
        by = min(1.0, width / (right - left), height / (bottom - top)) * NEARLY
        image.draft(None, (math.ceil(stored[0] * by), math.ceil(stored[1] * by)))
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    across, down = rgb.width / stored[0], rgb.height / stored[1]
    box = (
        *(left * across, top * down),
        *(min(right * across, rgb.width), min(bottom * down, rgb.height)),
    )
    return rgb.resize((width, height), Image.Resampling.LANCZOS, box, reducing_gap=3.0)


def _size(shape: tuple[int, int], area: float) -> tuple[int, int]:
    by = math.sqrt(area / math.prod(shape))
    width, height = (max(1, min(LONGEST, round(side * by))) for side in shape)
    return width, height


def _encoded(image: Image.Image, most: int) -> tuple[bytes, tuple[int, int]]:
    """Return a picture as WebP of at most so many bytes, and its size."""
    while True:
        made = _webp(image, QUALITY)
        share = most / len(made)
        lower = [quality for quality, left in LOWER.items() if left < share] or [min(LOWER)]
        while len(made) > most and lower:
            made = _webp(image, lower.pop(0))
        if len(made) <= most:
            return made, image.size
        if max(image.size) < 2:
            raise OSError(f"no thumbnail of {most} bytes can be made")
        by = min(SMALLER, SMALLER * math.sqrt(most / len(made)))
        image = image.resize(_size(image.size, math.prod(image.size) * by**2))


def _webp(image: Image.Image, quality: int) -> bytes:
    held = io.BytesIO()
    image.save(held, "WEBP", quality=quality, method=METHOD)
    return held.getvalue()


def _lost(wanted: Wanted) -> Made:
    return Made(wanted.number, fault=workers.LOST)
