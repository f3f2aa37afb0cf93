"""Pictures made by numbers: nobody's photograph, but as differing as a training set's.

Ten kinds of background (fractal noise as of clouds or rock, lights, waves, tiles, text …), with
shapes before most. A number gives the same picture each time. `sibling` gives it another subject
before the same background, as the next picture of the same studio has: no duplicate. `posed` gives
a subject another pose, place and background, as the next picture of a character has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageOps

Plane = NDArray[np.float32]  # height x width, 0 to 1
Dice = np.random.Generator
LINE = "portrait of a lamp under old trees by the sea with seven red kites in morning fog"


def scene(number: int, side: int = 512, *, sibling: int = 0) -> Image.Image:
    """Return picture `number`, about `side` x `side` in area."""
    dice = np.random.default_rng(number)
    image = _background(dice, number, side)
    if sibling or _has_subject(number):
        _subject(np.random.default_rng((number, sibling)), image)
    return _grained(dice, image)


def posed(number: int, side: int = 512, *, before: int, pose: int = 1) -> Image.Image:
    """Return the subject of picture `number` in another pose before the background of `before`.

    It is mirrored or not, turned by 15 to 60 degrees, smaller or larger, and somewhere else. A
    picture without a subject gets one.
    """
    dice = np.random.default_rng(before)
    image = _background(dice, before, side)
    black, white = (Image.new("RGB", image.size, shade) for shade in ("black", "white"))
    for canvas in (black, white):
        _subject(np.random.default_rng((number, 0)), canvas)
    seen = ImageChops.invert(ImageChops.difference(white, black).convert("L"))
    black.putalpha(seen)
    posing = np.random.default_rng((number, before, pose))
    turned = posing.choice((-1, 1)) * posing.uniform(15, 60)
    drawn = ImageOps.mirror(black) if posing.random() < 0.5 else black
    drawn = drawn.rotate(float(turned), Image.Resampling.BICUBIC, expand=True)
    by = posing.uniform(0.55, 1.1)
    drawn = drawn.resize((round(drawn.width * by), round(drawn.height * by)))
    x, y = (float(v) for v in posing.uniform(0.2, 0.8, 2))
    at = round(image.width * x - drawn.width / 2), round(image.height * y - drawn.height / 2)
    image.paste(drawn, at, drawn)
    return _grained(dice, image)


def _has_subject(number: int) -> bool:
    return number % 10 not in (0, 4)


def _background(dice: Dice, number: int, side: int) -> Image.Image:
    aspect = float(np.exp(dice.uniform(-0.4, 0.4)))
    size = (round(side * aspect), round(side / aspect))
    made = BACKGROUNDS[number % len(BACKGROUNDS)](dice, size)
    low, high = sorted(dice.uniform(0, 1, 2))
    planes = made if made.ndim == 3 else _coloured(dice, made)
    planes = low * 0.4 + planes * (0.6 + 0.4 * high - low * 0.4)
    return Image.fromarray((planes.clip(0, 1) * 255).astype(np.uint8))


def _grained(dice: Dice, image: Image.Image) -> Image.Image:
    """Return the picture with the grain of a sensor."""
    grain = dice.normal(0, dice.uniform(0, 6), (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def fractal(dice: Dice, size: tuple[int, int], roughness: float) -> Plane:
    """Return noise that is rough at every size, as clouds (0.4) or gravel (0.8) are."""
    total = np.zeros((size[1], size[0]), np.float32)
    cells, weight = int(dice.integers(2, 5)), 1.0
    while cells < max(size):
        grid = dice.normal(size=(cells, cells)).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC))
        cells, weight = cells * 2, weight * roughness
    return _stretched(total)


def _stretched(plane: Plane) -> Plane:
    low, high = np.percentile(plane, (1, 99))
    return ((plane - low) / max(high - low, 1e-6)).clip(0, 1).astype(np.float32)


def _coloured(dice: Dice, plane: Plane) -> NDArray[np.float32]:
    """Return grey as a way from one colour over another to a third."""
    stops = dice.uniform(0, 1, (3, 3))
    stops[0] *= 0.4  # so that dark stays dark
    stops[2] = 0.4 + 0.6 * stops[2]
    planes = [np.interp(plane, (0, 0.5, 1), stops[:, channel]) for channel in range(3)]
    return np.stack(planes, -1).astype(np.float32)


def _mesh(size: tuple[int, int]) -> tuple[Plane, Plane]:
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    return x / size[0], y / size[1]


def _clouds(dice: Dice, size: tuple[int, int]) -> Plane:
    return fractal(dice, size, 0.5)


def _rock(dice: Dice, size: tuple[int, int]) -> Plane:
    return np.abs(fractal(dice, size, 0.7) - 0.5) * 2


def _landscape(dice: Dice, size: tuple[int, int]) -> Plane:
    """Hills behind hills under a sky."""
    x, y = _mesh(size)
    plane = 1 - 0.3 * y
    for depth in range(int(dice.integers(2, 6))):
        line = fractal(dice, (size[0], 8), 0.55)[0]
        horizon = 0.25 + 0.14 * depth + 0.35 * (line - 0.5)
        tone = dice.uniform(0.1, 0.7)
        hill = tone + 0.2 * (fractal(dice, size, 0.6) - 0.5)
        plane = np.where(y > horizon[None], hill, plane)
    return plane.clip(0, 1).astype(np.float32) + 0 * x


def _lights(dice: Dice, size: tuple[int, int]) -> Plane:
    x, y = _mesh(size)
    plane = np.zeros_like(x)
    for _ in range(int(dice.integers(3, 14))):
        at, width = dice.uniform(0, 1, 2), dice.uniform(0.03, 0.35)
        plane += dice.uniform(-1, 1) * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / width**2)
    return _stretched(plane)


def _ramp(dice: Dice, size: tuple[int, int]) -> Plane:
    """A wall in light from one side."""
    x, y = _mesh(size)
    angle = dice.uniform(0, 2 * np.pi)
    return _stretched(x * np.cos(angle) + y * np.sin(angle)) * 0.8 + 0.2 * fractal(dice, size, 0.8)


def _waves(dice: Dice, size: tuple[int, int]) -> Plane:
    x, y = _mesh(size)
    bend = fractal(dice, size, 0.4) * dice.uniform(0, 2)
    kx, ky = dice.uniform(-30, 30, 2)
    return (0.5 + 0.5 * np.sin(kx * x + ky * y + 6 * bend)).astype(np.float32)


def _tiles(dice: Dice, size: tuple[int, int]) -> Plane:
    count = dice.integers(3, 12, 2)
    grid = dice.uniform(0, 1, (int(count[0]), int(count[1]))).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.NEAREST))


def _page(dice: Dice, size: tuple[int, int]) -> Plane:
    image = Image.new("L", size, int(dice.integers(200, 256)))
    draw = ImageDraw.Draw(image)
    at, height = 20.0, int(dice.integers(14, 40))
    while at < size[1]:
        line = " ".join(dice.permutation(LINE.split())[: int(dice.integers(2, 9))])
        draw.text((20, at), line, fill=int(dice.integers(0, 90)), font_size=height)
        at += height * float(dice.uniform(1.1, 2.2))
    return np.asarray(image, np.float32) / 255


def _bands(dice: Dice, size: tuple[int, int]) -> NDArray[np.float32]:
    """Planks of differing colour."""
    edges = np.sort(dice.uniform(0, 1, int(dice.integers(3, 10))))
    x, y = _mesh(size)
    which = np.searchsorted(edges, x if dice.random() < 0.5 else y)
    colours = dice.uniform(0, 1, (len(edges) + 1, 3)).astype(np.float32)
    return colours[which] * (0.7 + 0.3 * fractal(dice, size, 0.7)[..., None])


def _studio(dice: Dice, size: tuple[int, int]) -> Plane:
    """A plain backdrop that is lit in the middle."""
    x, y = _mesh(size)
    glow = 1 - dice.uniform(0.2, 0.9) * ((x - 0.5) ** 2 + (y - dice.uniform(0.3, 0.6)) ** 2) * 2
    return (glow + 0.03 * fractal(dice, size, 0.6)).clip(0, 1).astype(np.float32)


BACKGROUNDS: tuple[Callable[[Dice, tuple[int, int]], NDArray[np.float32]], ...] = (
    *(_clouds, _landscape, _lights, _ramp, _rock, _waves, _studio, _tiles, _page, _bands),
)


def _subject(dice: Dice, image: Image.Image) -> None:
    """Draw some shapes, the first of them large and near the middle."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    for number in range(int(dice.integers(2, 9))):
        reach = dice.uniform(0.15, 0.4) if number == 0 else dice.uniform(0.03, 0.22)
        spread = (0.3, 0.7) if number == 0 else (0.0, 1.0)
        x, y = dice.uniform(*spread) * width, dice.uniform(*spread) * height
        rx, ry = reach * width * dice.uniform(0.5, 1), reach * height * dice.uniform(0.5, 1)
        colour = tuple(int(v) for v in dice.integers(0, 256, 3))
        kind = dice.integers(0, 4)
        if kind == 0:
            draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=colour)
        elif kind == 1:
            draw.rectangle((x - rx, y - ry, x + rx, y + ry), fill=colour)
        elif kind == 2:
            angles = np.sort(dice.uniform(0, 2 * np.pi, int(dice.integers(3, 9))))
            draw.polygon([(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles], fill=colour)
        else:
            draw.arc((x - rx, y - ry, x + rx, y + ry), 0, 270, fill=colour, width=int(rx / 3) + 2)
