"""What the headers of pictures say, thousands a second: no pixel is decoded."""

from __future__ import annotations

import dataclasses
import functools
import io
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageCms, UnidentifiedImageError, features

from kohya_presets.dataset import picture
from kohya_presets.dataset.picture import Header

try:
    import pillow_heif
except ImportError:  # the extra [heif]
    pass
else:
    pillow_heif.register_heif_opener()

ORIENTATION = 0x0112  # EXIF
BITS_PER_SAMPLE = 258  # TIFF
BEGINNING = 4096  # bytes in which AVIF and HEIF say their bits
SAME = 4  # of 255: how far a profile may move a colour and still count as sRGB
# Pillow has a name of its own for a JPEG with further pictures behind it, as phones make them.
_ONE_AT_A_TIME = threading.Lock()  # Pillow's limit is one for all threads
_NAMES = {"MPO": "JPEG", "DIB": "BMP"}
# What Pillow's readers raise on files that are not as they should be.
FAULTS = (
    *(OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError, struct.error),
    *(zlib.error, Image.DecompressionBombError),
)


def read(files: Iterable[Path]) -> Iterator[Header]:
    """Yield what the header of each file says, in order; a file that is none has a `fault`.

    What Pillow refuses for its number of pixels is told with its size and a fault.
    """
    for file in files:
        try:
            yield one(file)
        except FAULTS as error:
            yield Header(file, 0, 0, extension_format=picture.promised(file), fault=told(error))


def one(file: Path) -> Header:
    """Return what a file's header says.

    Raises:
        OSError: the file itself cannot be read.
    """
    found = file.stat()
    plain = Header(file, found.st_size, found.st_mtime_ns, None, picture.promised(file))
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its other end
        said = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        return dataclasses.replace(plain, fault=f"{said}, not a file")
    with file.open("rb") as opened:
        beginning = opened.read(32)
        opened.seek(0)
        try:
            return _opened(opened, plain, beginning)
        except FAULTS as error:
            return _refused(error, plain, beginning)


def _opened(opened: BinaryIO, plain: Header, beginning: bytes) -> Header:
    with _ONE_AT_A_TIME:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None  # its header is no danger, and its size is what is asked for
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of EXIF and ICC that are not quite right
                with Image.open(opened) as image:
                    return _described(image, opened, plain, beginning, limit)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _described(
    image: Image.Image, opened: BinaryIO, plain: Header, beginning: bytes, limit: int | None
) -> Header:
    known = _NAMES.get(image.format or "", image.format)
    width, height = image.size
    icc, srgb = _profile(image)
    fault = None
    if limit is not None and width * height > 2 * limit:
        fault = f"{width} x {height} pixels: Pillow opens no more than {2 * limit} pixels"
    elif not (width and height):
        fault = f"{width} x {height} pixels: there is no picture in it"
    return Header(
        plain.file,
        plain.bytes,
        plain.mtime_ns,
        known,
        plain.extension_format,
        width,
        height,
        image.mode,
        _bits(image, opened, beginning),
        1 if image.format == "MPO" else getattr(image, "n_frames", 1),
        _orientation(image),
        icc,
        srgb,
        image.has_transparency_data,
        fault,
        extended=beginning[8:16] == b"WEBPVP8X",
    )


def _orientation(image: Image.Image) -> int:
    """Return what EXIF or XMP says, 1 where it is silent or says nonsense.

    A PNG's EXIF behind its pixels is not looked for: PngImageFile.getexif would decode them.
    """
    if not image.info and image.format in ("GIF", "BMP"):
        return 1
    try:
        said = Image.Image.getexif(image).get(ORIENTATION)
    except FAULTS:
        return 1
    return said if isinstance(said, int) and 1 <= said <= 8 else 1


def _bits(image: Image.Image, opened: BinaryIO, beginning: bytes) -> int:
    """Return bits per channel as the file has them; Pillow gives 8 for most."""
    if image.mode == "1":
        return 1
    if image.format == "PNG":  # IHDR, right after the signature: width, height, depth
        return beginning[24]
    if image.format == "TIFF":
        said = image.tag_v2.get(BITS_PER_SAMPLE, 8)  # type: ignore[attr-defined]
        return int(said[0] if isinstance(said, tuple) else said)
    if image.format in ("AVIF", "HEIF"):
        opened.seek(0)
        start = opened.read(BEGINNING)
        at = start.find(b"pixi")  # version and flags, count of channels, bits of each
        return start[at + 9] if 0 <= at < len(start) - 9 else 8
    if image.mode.startswith("I;16"):
        return 16
    return 32 if image.mode in ("I", "F") else 8


def _profile(image: Image.Image) -> tuple[str | None, bool]:
    data = image.info.get("icc_profile")
    return _described_profile(data, image.mode) if data else (None, True)


@functools.lru_cache(maxsize=64)
def _described_profile(data: bytes, mode: str) -> tuple[str, bool]:
    """Return a profile's description, and whether it leaves colours as sRGB has them."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        described = ImageCms.getProfileDescription(profile).strip()
    except (OSError, ImageCms.PyCMSError):
        return "a profile that cannot be read", False
    return described or "a profile without a description", _is_srgb(profile)


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Return whether a set of colours stays the same when taken from this profile to sRGB.

    By what it does, since its description is free text: "c2", "uRGB" and "Artifex" are sRGB too.
    """
    space = {"RGB": "RGB", "GRAY": "L"}.get(profile.profile.xcolor_space.strip())
    if space is None:
        return False
    steps = range(0, 256, 51)
    if space == "RGB":
        colours = bytes(value for r in steps for g in steps for b in steps for value in (r, g, b))
    else:
        colours = bytes(range(256))
    sample = Image.frombytes(space, (len(colours) // len(space), 1), colours)
    try:
        srgb = ImageCms.createProfile("sRGB")
        shown = ImageCms.profileToProfile(sample, profile, srgb, outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):
        return False
    assert shown is not None
    pairs = zip(sample.convert("RGB").tobytes(), shown.tobytes(), strict=True)
    return all(abs(before - after) <= SAME for before, after in pairs)


def _refused(error: BaseException, plain: Header, beginning: bytes) -> Header:
    known = picture.recognized(beginning)
    unsupported = known is not None and not _reads(known)
    if not plain.bytes:
        fault = "the file is empty"
    elif unsupported:
        fault = f"{known} cannot be read here"
    elif known is None:
        fault = "not a picture"
    else:
        fault = told(error)
    return Header(
        plain.file,
        plain.bytes,
        plain.mtime_ns,
        known,
        plain.extension_format,
        fault=fault,
        unsupported=unsupported,
    )


def _reads(name: str) -> bool:
    """Return whether the Pillow at hand has a reader for a format."""
    Image.init()
    # Pillow's plugin for AVIF is there even where its decoder is not.
    return name in Image.OPEN and (name != "AVIF" or bool(features.check("avif")))


def told(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its header is damaged"
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "the file may not be read (permissions)"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said or type(error).__name__
