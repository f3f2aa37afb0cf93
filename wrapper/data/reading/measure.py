"""What the pixels of one picture say. Runs in the workers of `pixels`."""

from __future__ import annotations

import base64
import hashlib
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kohya_presets.dataset.alike import dct_hash
from kohya_presets.dataset.picture import Pixels
from wrapper.data.reading import headers

AREA = 512 * 512  # pixels to which a picture is shrunk before it is measured
NEARLY = 0.9  # of a side: so near, nothing is gained by shrinking once more
BLOCK = 1 << 20  # bytes of a file at a time
SEEN = 128  # alpha below which a pixel is more than half transparent
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")

Planes = NDArray[np.float32]


def several(files: Sequence[Path]) -> list[Pixels]:
    """Return what the pixels of some files say."""
    return [one(file) for file in files]


def one(file: Path) -> Pixels:
    """Return what a file's pixels say, or why they say nothing.

    A JPEG is decoded at half, a quarter or an eighth of its size where that is enough. It tells a
    truncated file as well as decoding in full does: libjpeg reads all of the data either way. Bytes
    that are wrong in the middle of a JPEG are told neither way, nor by sd-scripts.
    """
    try:
        with file.open("rb") as opened:
            digest = _digest(opened)
            try:
                return _measured(file, digest, opened)
            except MemoryError:  # without a digest, so that it is tried again the next time
                return Pixels(file, fault="there is not enough memory to read it")
            except headers.FAULTS as error:
                return Pixels(file, digest, fault=headers.told(error))
    except OSError as error:
        return Pixels(file, fault=headers.told(error))


def _digest(opened: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := opened.read(BLOCK):
        digest.update(block)
    opened.seek(0)
    return digest.hexdigest()


def _measured(file: Path, digest: str, opened: BinaryIO) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of EXIF and large pictures: `headers` tells
        with Image.open(opened) as image:
            shrunk, transparent = _shrunk(image)
    grey = shrunk.convert("L")
    small = grey.resize((dct_hash.SIDE, dct_hash.SIDE), Image.Resampling.BOX)
    thumbnail = np.asarray(small)[None]
    found = dct_hash.hashes(thumbnail)
    return Pixels(
        file,
        digest,
        f"{found[0]:016x}",
        f"{dct_hash.mirrored(found)[0]:016x}",
        base64.b64encode(thumbnail.tobytes()).decode(),
        sharpness(np.asarray(grey, np.float32)),
        float(np.asarray(grey).mean()) / 255,
        colourfulness(np.asarray(shrunk, np.float32)),
        transparent,
    )


def _shrunk(image: Image.Image) -> tuple[Image.Image, float]:
    """Return the picture as RGB of about `AREA` pixels or its own if fewer; its transparent share.

    Raises:
        OSError: the picture is truncated or damaged.
    """
    by = min(1.0, math.sqrt(AREA / (image.width * image.height)))
    size = max(1, round(image.width * by)), max(1, round(image.height * by))
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (int(size[0] * NEARLY), int(size[1] * NEARLY)))
    transparent = 0.0
    if image.mode in _DEEP:
        image = _eight_bits(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        transparent = sum(alpha.histogram()[:SEEN]) / (alpha.width * alpha.height)
    elif image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    else:
        image.load()
    if image.mode == "RGBA":  # without alpha, lest what is hidden weighs less than what is seen
        image = image.convert("RGB")
    if image.width * image.height * NEARLY**2 > size[0] * size[1]:
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return image.convert("RGB"), transparent


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a deep grey picture as a viewer shows it; Pillow's own conversion may cut it off."""
    values = np.asarray(image, np.float32)
    top = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max(initial=0)))
    return Image.fromarray((values.clip(0, top) * (255 / top)).astype(np.uint8))


def sharpness(grey: Planes) -> float:
    """Return the variance of the Laplacian (the four neighbours less four times the middle)."""
    if min(grey.shape) < 3:
        return 0.0
    inner = grey[1:-1, 1:-1]
    found = grey[:-2, 1:-1] + grey[2:, 1:-1]
    found += grey[1:-1, :-2]
    found += grey[1:-1, 2:]
    found -= 4 * inner
    return float(found.var())


def colourfulness(planes: Planes) -> float:
    """Return Hasler and Süsstrunk's measure (2003, Measuring Colourfulness in Natural Images)."""
    red, green, blue = planes[::2, ::2, 0], planes[::2, ::2, 1], planes[::2, ::2, 2]
    across = red - green
    down = (red + green) / 2 - blue
    spread = math.hypot(across.std(), down.std())
    return spread + 0.3 * math.hypot(across.mean(), down.mean())
