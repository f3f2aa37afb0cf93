"""Twenty kinds of change that leave a picture the same to a person, each at three strengths."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Change = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def _resized(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    return image.resize((round(image.width * by), round(image.height * by)))


def _encoded(image: Image.Image, name: str, quality: float) -> Image.Image:
    held = io.BytesIO()
    image.save(held, name, quality=int(quality))
    return Image.open(held).convert("RGB")


def _cropped(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Cut `by` of width and of height off, at whichever sides."""
    width, height = round(image.width * (1 - by)), round(image.height * (1 - by))
    x, y = dice.integers(0, image.width - width + 1), dice.integers(0, image.height - height + 1)
    return image.crop((int(x), int(y), int(x) + width, int(y) + height))


def _rotated(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Turn by some degrees; the corners that open are the mean colour."""
    mean = tuple(int(v) for v in np.asarray(image).mean((0, 1)))
    angle = by * (1 if dice.random() < 0.5 else -1)
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=mean)


def _gamma(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    return image.point([round(255 * (v / 255) ** by) for v in range(256)] * 3)


def _noisy(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    grain = dice.normal(0, by, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def _bordered(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    colour = (0, 0, 0) if dice.random() < 0.5 else (255, 255, 255)
    return ImageOps.expand(image, round(by * min(image.size)), colour)


def _watermarked(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    image = image.copy()
    at = (image.width * float(dice.uniform(0, 0.5)), image.height * float(dice.uniform(0, 0.8)))
    size = round(by * image.height)
    ImageDraw.Draw(image).text(at, "(c) SAMPLE", fill=(255, 255, 255), font_size=size)
    return image


def _hue(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(v + round(by * 256)) % 256 for v in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def _toned(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Grey, then so far towards the tone of old paper."""
    return Image.blend(
        ImageOps.grayscale(image).convert("RGB"),
        ImageOps.colorize(ImageOps.grayscale(image), "#201000", "#ffe8c0"),
        by,
    )


def _letterboxed(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Bars at two sides, as a film has them."""
    wide = dice.random() < 0.5
    bars = (round(by * image.width), 0) if wide else (0, round(by * image.height))
    return ImageOps.expand(image, bars, (0, 0, 0))


def _squeezed(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    return image.resize((round(image.width * by), image.height))


def _shifted(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Move the picture within its frame; what it leaves is its mean colour."""
    mean = tuple(int(v) for v in np.asarray(image).mean((0, 1)))
    moved = Image.new("RGB", image.size, mean)
    signs = dice.choice((-1, 1), 2)
    moved.paste(image, (round(by * image.width * signs[0]), round(by * image.height * signs[1])))
    return moved


def _vignette(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    dark = 255 * (1 - by * (x**2 + y**2) / 2)
    return ImageChops.multiply(
        image, Image.fromarray(dark.clip(0, 255).astype(np.uint8)).convert("RGB")
    )


def _mirrored(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Mirror left to right, and encode anew."""
    return _encoded(ImageOps.mirror(image), "JPEG", by)


# Each: the change, and its three strengths from slight to strong.
KINDS: Mapping[str, tuple[Change, tuple[float, float, float]]] = {
    "resize": (_resized, (0.7, 0.4, 0.2)),
    "jpeg": (lambda i, by, _: _encoded(i, "JPEG", by), (70, 30, 10)),
    "webp": (lambda i, by, _: _encoded(i, "WEBP", by), (70, 30, 5)),
    "crop": (_cropped, (0.04, 0.08, 0.15)),
    "rotate": (_rotated, (1, 3, 6)),
    "shift": (_shifted, (0.02, 0.04, 0.08)),
    "brightness": (lambda i, by, _: ImageEnhance.Brightness(i).enhance(by), (1.15, 0.7, 0.45)),
    "contrast": (lambda i, by, _: ImageEnhance.Contrast(i).enhance(by), (1.2, 0.7, 0.4)),
    "gamma": (_gamma, (0.8, 1.5, 2.2)),
    "blur": (lambda i, by, _: i.filter(ImageFilter.GaussianBlur(by)), (1, 3, 6)),
    "sharpen": (
        lambda i, by, _: i.filter(ImageFilter.UnsharpMask(2, int(by))),
        (80, 200, 400),
    ),
    "noise": (_noisy, (8, 20, 45)),
    "mirror": (_mirrored, (90, 60, 30)),
    "border": (_bordered, (0.02, 0.05, 0.1)),
    "letterbox": (_letterboxed, (0.03, 0.08, 0.15)),
    "watermark": (_watermarked, (0.06, 0.12, 0.2)),
    "saturation": (lambda i, by, _: ImageEnhance.Color(i).enhance(by), (1.4, 0.5, 2.2)),
    "grey and toned": (_toned, (0.0, 0.5, 1.0)),
    "hue": (_hue, (0.03, 0.1, 0.3)),
    "palette": (lambda i, by, _: i.quantize(int(by)).convert("RGB"), (128, 32, 8)),
    "squeeze": (_squeezed, (0.9, 0.75, 0.6)),
    "vignette": (_vignette, (0.2, 0.5, 0.9)),
}
