"""Three runs made of made pictures: undertrained, right, and overtrained. No model drew them.

The training images show one subject in four places. The base model draws other scenes; a LoRA
that works draws the subject in them, one that copies gives training images back, redrawn.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from bench.pictures import remembered, scenes
from kohya_presets.judging import epochs, structure
from kohya_presets.judging.epochs import CAPTION, GENERIC, TRIGGER, WITHOUT

SUBJECT = 7  # a scene: its subject is what the trigger stands for
SIDE = 160
PLACES = (101, 112, 113, 118)  # scenes: where the subject stands in the training images
# Number of the base model's picture: kind of the prompt, its text, its seed.
PROMPTS: Mapping[int, tuple[str, str, int]] = {
    **{1000 + n: (CAPTION, f"thing in place {n}", 1) for n in range(len(PLACES))},
    **{1103 + n: (TRIGGER, f"thing at sea {n // 2}", n % 2) for n in range(4)},
    **{1203 + n: (WITHOUT, f"a ship at sea {n // 2}", n % 2) for n in range(4)},
    **{1303 + n: (GENERIC, "a landscape", n) for n in range(2)},
}
# What the LoRA of each epoch does: how many captions it copies, and whether the trigger works.
Done = Mapping[int, tuple[int, bool]]
UNDERTRAINED: Done = {10: (0, False), 20: (0, False), 30: (0, False)}
RIGHT: Done = {10: (0, False), 20: (0, True), 30: (0, True), 40: (3, True), 50: (4, True)}
OVERTRAINED: Done = {10: (3, True), 20: (4, True), 30: (4, True)}


@functools.cache
def training() -> tuple[Image.Image, ...]:
    """Return the images that were trained on."""
    return tuple(scenes.posed(SUBJECT, SIDE, before=place) for place in PLACES)


@functools.cache
def base(number: int) -> Image.Image:
    """Return what the base model draws of a prompt."""
    return scenes.scene(number, SIDE)


@functools.cache
def lora(epoch: int, done: tuple[int, bool], number: int) -> Image.Image:
    """Return what the LoRA of an epoch draws of a prompt."""
    copied, works = done
    dice = np.random.default_rng((epoch, number))
    kind = PROMPTS[number][0]
    place = number - 1000
    redraw, dream = (remembered.KINDS[name][0] for name in ("redrawn", "dreamt"))
    if kind == CAPTION and place < copied:
        return dream(training()[place], 0.5, dice)
    if kind == CAPTION and works:  # the subject in the place of the caption, in another pose
        return scenes.posed(SUBJECT, SIDE, before=PLACES[place], pose=epoch)
    if kind == TRIGGER and works:
        return scenes.posed(SUBJECT, SIDE, before=number, pose=epoch)
    return redraw(base(number), 0.006, dice)


def pictures(run: Done) -> Iterator[epochs.Picture]:
    """Yield all pictures of a run, the base's first."""
    for number, (kind, prompt, seed) in PROMPTS.items():
        drawn = described(base(number))
        yield epochs.Picture("base", None, kind, prompt, seed, 1.0, drawn)
    for epoch, done in run.items():
        for number, (kind, prompt, seed) in PROMPTS.items():
            drawn = described(lora(epoch, done, number))
            yield epochs.Picture(f"thing-{epoch:06d}", epoch, kind, prompt, seed, 1.0, drawn)


def described(image: Image.Image) -> structure.Features:
    """Return the features of a picture."""
    return structure.describe(np.asarray(image.convert("RGB")))
