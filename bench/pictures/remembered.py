"""Ways in which a picture that a model learned by heart comes out again, each at five strengths.

Some are what a file goes through (encoded anew, recoloured, cropped); the others stand in for the
memory of a diffusion model: what is large stays, what is fine is invented anew, lines are a little
elsewhere. No model drew them: that is as near as made pictures come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from bench.pictures import changes, scenes
from bench.pictures.changes import Change

STRENGTHS = 5
Planes = NDArray[np.float32]


def _recoloured(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Turn the hues, and change saturation, contrast and gamma a little less."""
    image = changes.KINDS["hue"][0](image, by, dice)
    image = ImageEnhance.Color(image).enhance(1 + by * float(dice.uniform(-1, 1)))
    image = ImageEnhance.Contrast(image).enhance(1 + by * float(dice.uniform(-0.7, 0.7)))
    return changes.KINDS["gamma"][0](image, float(np.exp(by * dice.uniform(-1, 1))), dice)


def _moved(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Cut off two sides that meet: what was in the middle is elsewhere now."""
    width, height = round(image.width * (1 - by)), round(image.height * (1 - by))
    x, y = dice.choice((0, image.width - width)), dice.choice((0, image.height - height))
    return image.crop((int(x), int(y), int(x) + width, int(y) + height))


def _square(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Cut the longer side, so far on the way to a square, at whichever end."""
    shorter = min(image.size)
    width, height = (round(v + (shorter - v) * by) for v in image.size)
    x, y = dice.integers(0, image.width - width + 1), dice.integers(0, image.height - height + 1)
    return image.crop((int(x), int(y), int(x) + width, int(y) + height))


def _mirrored(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Mirror left to right, and redraw a little."""
    return _redrawn(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), by, dice)


def _warped(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Move each place by up to about `by` of the side, neighbours alike."""
    planes = np.asarray(image, np.float32)
    height, width = planes.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    away = [_smooth(dice, image.size, 5) * by * max(image.size) for _ in range(2)]
    rows = (y + away[0]).round().astype(int).clip(0, height - 1)
    columns = (x + away[1]).round().astype(int).clip(0, width - 1)
    return Image.fromarray(planes[rows, columns].astype(np.uint8))


def _smooth(dice: np.random.Generator, size: tuple[int, int], cells: int) -> Planes:
    """Return a plane that swings smoothly, of standard deviation about 0.5."""
    grid = Image.fromarray(dice.normal(0, 0.6, (cells, cells)).astype(np.float32))
    return np.asarray(grid.resize(size, Image.Resampling.BICUBIC), np.float32)


def _redrawn(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Keep what is larger than `by` of the side; invent the rest, as strong as it was there."""
    reach = by * max(image.size)
    planes = np.asarray(image, np.float32)
    low = _blurred(planes, reach)
    strong = np.sqrt(_blurred((planes - low) ** 2, 2 * reach).clip(0))
    invented = scenes.fractal(dice, image.size, 0.8) - 0.5
    invented -= _blurred(invented[..., None], reach)[..., 0]
    invented /= max(float(invented.std()), 1e-6)
    return _pictured(low + 0.7 * strong * invented[..., None])


def _repainted(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """Draw other things over `by` of the area, in some spots: a detail that came out otherwise."""
    other = scenes.scene(int(dice.integers(900_000, 990_000)), max(image.size))
    other = other.resize(image.size)
    plane = _smooth(dice, image.size, 7)
    spots = Image.fromarray(((plane > np.quantile(plane, 1 - by)) * 255).astype(np.uint8))
    return Image.composite(other, image, spots.filter(ImageFilter.GaussianBlur(3)))


def _dreamt(image: Image.Image, by: float, dice: np.random.Generator) -> Image.Image:
    """All at once: cropped, warped, redrawn, recoloured. `by` is 1 at the strongest."""
    image = changes.KINDS["crop"][0](image, 0.12 * by, dice)
    image = _warped(image, 0.02 * by, dice)
    image = _redrawn(image, 0.004 + 0.016 * by, dice)
    return _recoloured(image, 0.15 * by, dice)


def _blurred(planes: Planes, reach: float) -> Planes:
    """Return the planes, height x width x n, without what is smaller than a reach in pixels."""
    made = [
        np.asarray(_shrunk_and_back(Image.fromarray(plane), reach), np.float32)
        for plane in np.moveaxis(planes.astype(np.float32), -1, 0)
    ]
    return np.stack(made, -1)


def _shrunk_and_back(plane: Image.Image, reach: float) -> Image.Image:
    """Pillow's blur takes no floats; shrinking and enlarging does."""
    size = tuple(max(2, round(v / max(reach, 1.0))) for v in plane.size)
    small = plane.resize((size[0], size[1]), Image.Resampling.BOX)
    return small.resize(plane.size, Image.Resampling.BICUBIC)


def _pictured(planes: NDArray[Any]) -> Image.Image:
    return Image.fromarray(planes.clip(0, 255).astype(np.uint8))


Strengths = tuple[float, float, float, float, float]

KINDS: Mapping[str, tuple[Change, Strengths]] = {
    "encoded": (changes.KINDS["jpeg"][0], (70, 40, 20, 10, 5)),
    "recoloured": (_recoloured, (0.05, 0.1, 0.2, 0.3, 0.45)),
    "blurred": (changes.KINDS["blur"][0], (1, 2, 3, 5, 8)),
    "grainy": (changes.KINDS["noise"][0], (8, 16, 28, 40, 60)),
    "moved": (_moved, (0.03, 0.06, 0.1, 0.15, 0.2)),
    "cropped": (changes.KINDS["crop"][0], (0.05, 0.1, 0.15, 0.2, 0.3)),
    "squarer": (_square, (0.2, 0.4, 0.6, 0.8, 1.0)),
    "mirrored": (_mirrored, (0.004, 0.008, 0.012, 0.016, 0.024)),
    "warped": (_warped, (0.005, 0.01, 0.02, 0.03, 0.045)),
    "redrawn": (_redrawn, (0.006, 0.012, 0.02, 0.03, 0.045)),
    "repainted": (_repainted, (0.03, 0.06, 0.1, 0.15, 0.2)),
    "dreamt": (_dreamt, (0.2, 0.4, 0.6, 0.8, 1.0)),
}
