"""What the header of a picture's file says, and what its pixels say. Values only: nothing is read.

Every field is a text, a number, a truth or None, so that both go into JSON and SQLite as they are
(`file` apart, which is a path).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Lower-case endings, and the format that each promises. A `.jpg` of a phone may be MPO (a JPEG
# with further pictures behind it): it counts as JPEG.
FORMATS: Mapping[str, str] = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"), "JPEG"),
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".avif", ".avifs"), "AVIF"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".jpf"), "JPEG2000"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    ".gif": "GIF",
    ".webp": "WEBP",
    ".jxl": "JXL",
    ".psd": "PSD",
    ".tga": "TGA",
    ".ico": "ICO",
    ".svg": "SVG",
}
# How a file of a format begins: offset, bytes. For files that the Pillow at hand does not read.
_BEGINNINGS = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WEBP"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\xff\x0a", "JXL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG2000"),
    (0, b"8BPS", "PSD"),
    (4, b"ftypavi", "AVIF"),
    *((4, b"ftyp" + brand, "HEIF") for brand in (b"hei", b"hev", b"mif", b"msf")),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its picture before any pixel is decoded.

    A file that cannot be opened has a `fault`, and no more than its size, time and formats. If
    `unsupported` is true as well, it may be sound: the Pillow at hand lacks its format.
    """

    file: Path
    bytes: int  # the file's length
    mtime_ns: int
    format: str | None = None  # by content, as Pillow names it; None: not a picture's
    extension_format: str | None = None  # what the ending of the name promises; None: nothing
    width: int = 0  # pixels as stored, before EXIF turns them
    height: int = 0
    mode: str = ""  # Pillow's: RGB, L, P, CMYK, I;16 …
    bits: int = 8  # per channel as stored, even where Pillow gives 8
    frames: int = 1  # above 1: animated, or several pages
    orientation: int = 1  # EXIF: 1 (upright) to 8; 5 to 8 swap width and height
    icc: str | None = None  # the description of the embedded profile; None: no profile
    icc_srgb: bool = True  # no profile, or one that changes no colour by more than a rounding
    transparent: bool = False  # has an alpha channel, a transparent colour or palette entry
    fault: str | None = None  # why it cannot be opened
    unsupported: bool = False  # the fault is a format that is not read here
    extended: bool = False  # a WebP with a header of its own for EXIF, a profile or frames (VP8X)

    @property
    def misnamed(self) -> bool:
        """Whether the name promises another format than the content has."""
        return None not in (self.format, self.extension_format) and (
            self.format != self.extension_format
        )

    @property
    def animated(self) -> bool:
        """Whether it has more than one frame."""
        return self.frames > 1

    @property
    def cmyk(self) -> bool:
        """Whether its colours are those of a printer."""
        return self.mode == "CMYK"

    @property
    def palette(self) -> bool:
        """Whether each pixel is an entry of a palette."""
        return self.mode in ("P", "PA")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored, as sd-scripts sees them."""
        return self.width, self.height

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as a viewer shows them, turned by EXIF."""
        return self.size if self.orientation < 5 else (self.height, self.width)


@dataclass(frozen=True, slots=True)
class Pixels:
    """What was measured on a picture's pixels, as stored: EXIF does not turn them, nor do we.

    The measures are those of the first frame, without its transparency: `convert("RGB")`, as
    sd-scripts has it (library/train_util.py, load_image).
    """

    file: Path
    sha256: str = ""  # of the whole file; empty: it cannot be read
    hash: str = ""  # 64 bits as 16 hexadecimal digits, see `dct_hash.hashes`
    mirrored: str = ""  # the hash of the picture mirrored left to right
    thumbnail: str = ""  # SIDE x SIDE bytes of grey, row by row, as base64
    sharpness: float = 0.0  # variance of the Laplacian at 512 x 512 pixels in area; 0: flat
    brightness: float = 0.0  # mean grey, 0 (black) to 1 (white)
    colourfulness: float = 0.0  # Hasler and Süsstrunk 2003, equation 3: 0 grey, above 80 extreme
    transparent: float = 0.0  # the share of pixels that are more than half transparent
    fault: str | None = None  # why not all pixels can be read

    @property
    def truncated(self) -> bool:
        """Whether the file ends before its picture does."""
        return self.fault is not None and "truncated" in self.fault.lower()

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the file, as JSON takes it."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del found["file"]
        return found


@dataclass(frozen=True, slots=True)
class Link:
    """Two pictures that are one: how it is known."""

    one: Path
    other: Path
    exact: bool  # the same file, byte for byte
    mirrored: bool = False  # one is the other mirrored left to right
    bits: int = 0  # of `likeness.FINE_BITS` that differ, at most `likeness.FINE`


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that are one picture, by links from each to another of the group."""

    files: tuple[Path, ...]  # in the order in which they were given
    links: tuple[Link, ...]

    @property
    def exact(self) -> bool:
        """Whether all are the same file, byte for byte."""
        return all(link.exact for link in self.links)


def promised(file: Path) -> str | None:
    """Return the format that a file's name promises, or None if its ending says nothing."""
    return FORMATS.get(file.suffix.lower())


def recognized(beginning: bytes) -> str | None:
    """Return the format of a file that begins so (32 bytes are enough), or None."""
    return next(
        (name for at, mark, name in _BEGINNINGS if beginning[at : at + len(mark)] == mark), None
    )
