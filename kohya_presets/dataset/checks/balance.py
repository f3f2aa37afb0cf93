"""The balance of a set, as far as it can be measured: shape, sharpness, colour, brightness."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator

from kohya_presets.dataset.checks.check import Check, Finding
from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.dataset.picture import Pixels

NEARLY_ALL = 0.9
# Of the median sharpness, and in all. A picture blurred by 4 pixels of 512 has 0.8 to 2.5, a sound
# one of lights without a subject 6.5, the median 340 (100 pictures of bench/pictures/scenes.py).
BLURRED, SOFT = 0.05, 6.0
GREY = 3.0  # colourfulness: Hasler and Süsstrunk call 0 grey, 15 slightly colourful
DARK, BRIGHT = 0.2, 0.8  # mean grey

_FEW = 8  # images: of fewer, shares say nothing
_GUIDE = "guide: images and captions"


def _shape(collection: Collection) -> Iterator[Finding]:
    items = [item for item in collection.trained if item.placement]
    if len(items) < _FEW:
        return
    shapes = Counter(_shape_of(item) for item in items)
    shape, count = shapes.most_common(1)[0]
    if count >= NEARLY_ALL * len(items):
        yield Finding(f"{count} of {len(items)} images are {shape}")


def _shape_of(item: Item) -> str:
    width, height = item.placement.bucket if item.placement else (1, 1)
    return (
        "square" if width == height else "wider than high" if width > height else "higher than wide"
    )


def _blurred(collection: Collection) -> Iterator[Finding]:
    items = _measured(collection)
    if len(items) < _FEW:
        return
    middle = statistics.median(pixels.sharpness for _, pixels in items)
    most = min(BLURRED * middle, SOFT)
    blurred = [item.file for item, pixels in items if pixels.sharpness < most]
    if blurred:
        yield Finding("much less sharp than the others, as measured", tuple(blurred))


def _grey(collection: Collection) -> Iterator[Finding]:
    items = _measured(collection)
    grey = tuple(item.file for item, pixels in items if pixels.colourfulness < GREY)
    if len(items) >= _FEW and 0 < len(grey) < len(items):
        yield Finding("without colour, unlike the others", grey)


def _brightness(collection: Collection) -> Iterator[Finding]:
    items = _measured(collection)
    if len(items) < _FEW:
        return
    dark = sum(pixels.brightness < DARK for _, pixels in items)
    bright = sum(pixels.brightness > BRIGHT for _, pixels in items)
    for count, word in ((dark, "dark"), (bright, "bright")):
        if count >= NEARLY_ALL * len(items):
            limit = f"below {DARK}" if word == "dark" else f"above {BRIGHT}"
            yield Finding(
                f"{count} of {len(items)} images are {word}: a mean grey {limit} (black 0, white 1)"
            )


def _measured(collection: Collection) -> list[tuple[Item, Pixels]]:
    found = ((item, item.pixels) for item in collection.trained)
    return [(item, pixels) for item, pixels in found if pixels and not pixels.fault]


CHECKS = (
    Check(
        "set-shape",
        "note",
        "nearly all images have the same shape",
        "It trains nearly all in one or few buckets.",
        "Pictures of other shapes may come out worse.",
        _shape,
        _GUIDE,
    ),
    Check(
        "image-blurred",
        "advice",
        "an image is much less sharp than the others",
        "It learns the blur too.",
        "Look at them, and leave out what is blurred or enlarged.",
        _blurred,
        _GUIDE,
    ),
    Check(
        "image-grey",
        "note",
        "an image has no colour, unlike the others",
        "It trains it as it is.",
        "If the concept has colours, leave such images out, or say in the caption that they have "
        "none.",
        _grey,
        "Hasler and Süsstrunk 2003, equation 3",
    ),
    Check(
        "set-brightness",
        "note",
        "nearly all images are dark, or bright",
        "It trains them as they are.",
        "Other light may come out worse: add some, or say the light in the captions.",
        _brightness,
        _GUIDE,
    ),
)
