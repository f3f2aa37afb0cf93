"""The images of a rehearsal: drawn, or some of those that are given."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from PIL import Image, ImageDraw

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
        caption = folder / f"a disc ({number + 1}).txt"
        caption.write_text(f"a disc, number {number + 1}", encoding="utf-8", newline="\n")


def copy_some(data: Path, folder: Path, caption_extension: str) -> None:
    """Copy the first `MOST` images of `data` with their captions into `folder`."""
    folder.mkdir(parents=True)
    for image in image_folder.images(data)[:MOST]:
        shutil.copy2(image, folder)
        if (caption := image_folder.caption(image, caption_extension)).is_file():
            shutil.copy2(caption, folder)
