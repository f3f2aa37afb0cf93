"""Damaged and odd picture files, by name: each is written where it is wanted. Nobody's picture.

`ODD` has them: name → a function that returns the file's bytes, or None where this Pillow cannot
make it. `write` writes some into a folder; `good` writes as many sound ones as one likes.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw, features

Make = Callable[[], bytes | None]
SIZE = (96, 64)


def drawn(number: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture that differs from those of other numbers."""
    return _drawn(number, size).copy()  # saving leaves settings of the encoder on an image


@functools.cache
def _drawn(number: int, size: tuple[int, int]) -> Image.Image:
    dice = np.random.default_rng(number)
    grid = dice.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)
    box = sorted(dice.integers(0, min(size), 2).tolist())
    colour = tuple(dice.integers(0, 256, 3).tolist())
    ImageDraw.Draw(image).ellipse((box[0], box[0], box[1] + 9, box[1] + 9), fill=colour)
    return image


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """Return a picture as a file of a format."""
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def good(folder: Path, count: int, *, first: int = 0, unit: int = 16) -> list[Path]:
    """Write `count` sound pictures of differing content, size and format; return their files.

    Their sides are 4 to 8 times `unit`. `first` is the number of the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(first, first + count):
        size = (unit * (4 + number % 5), unit * (4 + number // 5 % 4))
        form, ending = (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"))[number % 3]
        files.append(folder / f"good {number:04d}{ending}")
        files[-1].write_bytes(encoded(drawn(number + 1000, size), form))
    return files


def write(folder: Path, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Write the odd files of those names, or all that can be made here; return them by name."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name in ODD if names is None else names:
        if (data := ODD[name]()) is not None:
            written[name] = folder / name
            written[name].write_bytes(data)
    return written


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """Return a PNG of raw rows; `more` are chunks between its header and its pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = chunk(b"IDAT", zlib.compress(rows))
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *more, packed, chunk(b"IEND", b""))
    )


def exif(orientation: int) -> bytes:
    """Return EXIF data with an orientation."""
    said = Image.Exif()
    said[0x0112] = orientation
    return said.tobytes()


@functools.cache
def profile(kind: str) -> bytes:
    """Return an ICC profile: sRGB, or "adobe" and "p3" with wider primaries, "lab" as it is."""
    if kind in ("sRGB", "lab"):
        name = "LAB" if kind == "lab" else "sRGB"
        return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
    primaries = {  # XYZ of red, green and blue under D50
        "adobe": (
            (0.60974, 0.31111, 0.01947),
            (0.20528, 0.62567, 0.06087),
            (0.14919, 0.06322, 0.74457),
        ),
        "p3": (
            (0.51512, 0.2412, -0.00105),
            (0.29198, 0.69225, 0.04189),
            (0.1571, 0.06657, 0.78407),
        ),
    }[kind]
    named = {"adobe": "Wide RGB like Adobe's", "p3": "Wide RGB like a phone's"}[kind]
    return _matrix_profile(named, primaries)


def _matrix_profile(name: str, primaries: tuple[tuple[float, float, float], ...]) -> bytes:
    """Return a profile, version 2, of three primaries and a gamma of 2.2 (ICC.1:2001-04)."""

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    text = name.encode("ascii") + b"\0"
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    tags = {
        **{b"desc": desc, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz((0.9642, 1, 0.8249))},
        **{n: xyz(p) for n, p in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += padded
    length = at + len(body)
    head = struct.pack(">I", length) + bytes(4) + b"\x02\x20\0\0mntrRGB XYZ " + bytes(12) + b"acsp"
    head += bytes(128 - len(head) - 60) + struct.pack(">iii", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + table + body


def _deep(colour: int, big: bool = True) -> bytes:
    """Return a 16-bit PNG, grey (0) or RGB (2)."""
    channels = 3 if colour == 2 else 1
    values = np.linspace(0, 65535, 32 * 32 * channels).astype(">u2").reshape(32, -1)
    return png(32, 32, 16, colour, b"".join(b"\0" + row.tobytes() for row in values))


def _frames(form: str, **options: object) -> bytes:
    others = [drawn(number) for number in (1, 2)]
    more = {"save_all": True, "append_images": others, "duration": 90, **options}
    return encoded(drawn(), form, **more)


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def _holed(data: bytes) -> bytes:
    """Return a file with zeros in its middle."""
    middle = len(data) // 2
    return data[:middle] + bytes(64) + data[middle + 64 :]


def _alpha(form: str, mode: str = "RGBA", **options: object) -> bytes:
    image = drawn().convert("RGBA")
    fade = Image.linear_gradient("L").resize(SIZE)
    image.putalpha(fade)
    return encoded(image.convert(mode), form, **options)


def _palette(**options: object) -> bytes:
    return encoded(drawn().quantize(16), "PNG", **options)


def _avif() -> bytes | None:
    return encoded(drawn(), "AVIF") if features.check("avif") else None


def _heic() -> bytes | None:
    try:
        import pillow_heif
    except ImportError:
        return None
    pillow_heif.register_heif_opener()
    return encoded(drawn(), "HEIF")


def jpeg(**options: object) -> bytes:
    """Return a sound JPEG."""
    return encoded(drawn(), "JPEG", **options)


def a_png(**options: object) -> bytes:
    """Return a sound PNG."""
    return encoded(drawn(), "PNG", **options)


def webp(**options: object) -> bytes:
    """Return a sound WebP."""
    return encoded(drawn(), "WEBP", **options)


def gif() -> bytes:
    """Return a sound GIF."""
    return encoded(drawn(), "GIF")


_FTYP = b"\0\0\0\x1cftyp"

ODD: dict[str, Make] = {
    # Ended too early.
    "cut in half.jpg": lambda: _cut(jpeg(), 0.5),
    "without its last byte.jpg": lambda: jpeg()[:-1],
    "without its last kilobyte.jpg": lambda: jpeg(quality=98)[:-1024],
    "cut progressive.jpg": lambda: _cut(jpeg(progressive=True), 0.6),
    "cut in its header.jpg": lambda: jpeg()[:30],
    "cut in half.png": lambda: _cut(a_png(), 0.5),
    "without its end.png": lambda: a_png()[:-40],
    "cut in its header.png": lambda: a_png()[:20],
    "cut in half.webp": lambda: _cut(webp(), 0.5),
    "cut in half.gif": lambda: _cut(gif(), 0.5),
    "cut in half.bmp": lambda: _cut(encoded(drawn(), "BMP"), 0.5),
    "cut in half.tif": lambda: _cut(encoded(drawn(), "TIFF"), 0.5),
    "cut in half.avif": lambda: _cut(made, 0.5) if (made := _avif()) else None,
    "beginning only.jpg": lambda: b"\xff\xd8\xff\xe0",
    "signature only.png": lambda: b"\x89PNG\r\n\x1a\n",
    # No picture.
    "empty.jpg": lambda: b"",
    "empty.png": lambda: b"",
    "zeros.jpg": lambda: bytes(4096),
    "text.png": lambda: "a photo of a lamp, résumé\n".encode(),
    "page.jpg": lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "drawing.svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "drawing.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "film.webp": lambda: _FTYP + b"isom\0\0\x02\0isomiso2mp41" + bytes(400),
    "archive.jpg": lambda: b"PK\x03\x04" + bytes(400),
    "._resource.jpg": lambda: b"\0\x05\x16\x07\0\x02\0\0Mac OS X" + bytes(100),
    "pointer.png": lambda: (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    ),
    # Named as something else.
    "webp in truth.jpg": webp,
    "png in truth.jpg": a_png,
    "jpeg in truth.png": jpeg,
    "gif in truth.png": gif,
    "bmp in truth.jpg": lambda: encoded(drawn(), "BMP"),
    "avif in truth.jpg": _avif,
    "heic in truth.jpg": _heic,
    "picture.heic": _heic,
    "picture.avif": _avif,
    "no ending": jpeg,
    "UPPER CASE.JPG": jpeg,
    "picture.jxl": lambda: b"\xff\x0a" + bytes(100),
    "picture.heif": lambda: _FTYP + b"heic\0\0\0\0mif1heic" + bytes(300),  # begins as one only
    # Colours and depth.
    "16 bits grey.png": lambda: _deep(0),
    "16 bits.png": lambda: _deep(2),
    "1 bit.png": lambda: encoded(drawn().convert("1"), "PNG"),
    "4 bits grey.png": lambda: png(32, 32, 4, 0, (b"\0" + bytes(range(16))) * 32),
    "grey.jpg": lambda: encoded(drawn().convert("L"), "JPEG"),
    "cmyk.jpg": lambda: encoded(drawn().convert("CMYK"), "JPEG"),
    "cmyk.tif": lambda: encoded(drawn().convert("CMYK"), "TIFF"),
    "float.tif": lambda: encoded(drawn().convert("L").convert("F"), "TIFF"),
    "16 bits grey.tif": lambda: encoded(Image.fromarray(np.full((40, 40), 300, np.uint16)), "TIFF"),
    "palette.png": _palette,
    "lab.tif": lambda: encoded(drawn().convert("LAB"), "TIFF"),
    # Transparency.
    "alpha.png": lambda: _alpha("PNG"),
    "alpha.webp": lambda: _alpha("WEBP", lossless=True),
    "grey alpha.png": lambda: _alpha("PNG", "LA"),
    "palette transparent.png": lambda: _palette(transparency=0),
    "palette with alphas.png": lambda: _palette(transparency=bytes(range(0, 256, 16))),
    "one colour transparent.png": lambda: a_png(transparency=(1, 2, 3)),
    "all transparent.png": lambda: encoded(Image.new("RGBA", SIZE, (200, 0, 0, 0)), "PNG"),
    "transparent.gif": lambda: encoded(drawn().quantize(16), "GIF", transparency=0),
    # Several frames.
    "animated.gif": lambda: _frames("GIF"),
    "animated.webp": lambda: _frames("WEBP"),
    "animated.png": lambda: _frames("PNG"),
    "pages.tif": lambda: _frames("TIFF"),
    "with a second picture.jpg": lambda: encoded(
        drawn(), "MPO", save_all=True, append_images=[drawn(1)]
    ),
    # EXIF and profiles.
    "turned 3.jpg": lambda: jpeg(exif=exif(3)),
    "turned 6.jpg": lambda: jpeg(exif=exif(6)),
    "turned 8.png": lambda: a_png(exif=exif(8)),
    "turned 6.webp": lambda: webp(exif=exif(6)),
    "nonsense exif.jpg": lambda: jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "turned 99.jpg": lambda: jpeg(exif=exif(99)),
    "srgb profile.jpg": lambda: jpeg(icc_profile=profile("sRGB")),
    "adobe profile.jpg": lambda: jpeg(icc_profile=profile("adobe")),
    "p3 profile.png": lambda: a_png(icc_profile=profile("p3")),
    "broken profile.jpg": lambda: jpeg(icc_profile=b"no profile at all"),
    # Sizes.
    "one pixel.png": lambda: encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
    "a line.png": lambda: encoded(drawn(0, (2000, 2)), "PNG"),
    "no width.png": lambda: png(0, 10, 8, 2, b""),
    "huge in its header.png": lambda: png(100_000, 100_000, 8, 2, bytes(1000)),
    "flat.png": lambda: encoded(Image.new("RGB", SIZE, (128, 128, 128)), "PNG"),
    # Damaged inside.
    "hole.jpg": lambda: _holed(jpeg(quality=95)),
    "hole.png": lambda: _holed(a_png()),
    "wrong checksum.png": lambda: a_png()[:29] + bytes(4) + a_png()[33:],
    "bytes behind.jpg": lambda: jpeg() + b"PK\x03\x04" + bytes(200),
    "text bomb.png": lambda: png(
        *(8, 8, 8, 0, (b"\0" + bytes(8)) * 8),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000), 9)),
    ),
}
