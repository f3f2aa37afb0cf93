"""The images of a rehearsal: drawn, or some of those that are given."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from kohya_presets.dataset import caption
from kohya_presets.dataset.subsets import Subset
from kohya_presets.files import image_folder
from wrapper.rehearsal.adapt import SEED, SIDE

COUNT = 6
MOST = 24  # of a given folder


def draw(folder: Path, count: int = COUNT) -> None:
    """Draw `count` captioned images of differing sizes into `folder`: same count, same images."""
    folder.mkdir(parents=True)
    dice = random.Random(SEED)
    for number in range(count):
        size = (SIDE + 16 * dice.randrange(4), SIDE + 16 * dice.randrange(4))
        picture = Image.new("RGB", size, tuple(dice.randrange(256) for _ in range(3)))
        box = sorted(dice.randrange(min(size)) for _ in range(2))
        color = tuple(dice.randrange(256) for _ in range(3))
        ImageDraw.Draw(picture).ellipse((box[0], box[0], box[1] + 8, box[1] + 8), fill=color)
        picture.save(folder / f"a disc ({number + 1}).png")
        beside = folder / f"a disc ({number + 1}).txt"
        beside.write_text(_caption(number), encoding="utf-8", newline="\n")


def captions(count: int = COUNT) -> list[str]:
    """Return the captions of drawn images."""
    return [_caption(number) for number in range(count)]


def _caption(number: int) -> str:
    return f"a disc, number {number + 1}"


def copy_some(subsets: Sequence[Subset], folder: Path, caption_extension: str) -> None:
    """Copy the first `MOST` images of some subsets with their captions into `folder`.

    Images of several folders get a number in front, since two may have the same name.
    """
    folder.mkdir(parents=True)
    images = [(subset, image) for subset in subsets for image in subset.images]
    for number, (subset, image) in enumerate(images[:MOST]):
        name = f"{number:02} {image.name}" if len(subsets) > 1 else image.name
        shutil.copy2(image, folder / name)
        beside = image_folder.caption(folder / name, caption_extension)
        if subset.metadata:
            told = {entry.image: entry.caption for entry in subset.entries}
            beside.write_text(told.get(image) or " ", encoding="utf-8", newline="\n")
        elif found := caption.find(image, subset.caption_extension):
            shutil.copy2(found, beside)
