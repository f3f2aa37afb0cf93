"""How sd-scripts' sample pictures were made: the options of a prompt line, and a file's name.

library/train_util.py, `line_to_prompt_dict` and `sample_image_inference`; the defaults are the same
in v0.7.0 to v0.11.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kohya_presets.cards.facts import Sampling

STEPS, SCALE, SIDE, SAMPLER = 30, 7.5, 512, "ddim"  # where the prompt says nothing
_PICTURE = re.compile(r"_(?P<epoch>e?)(?P<number>\d{6})_(?P<prompt>\d{2})(?:_[\d_]+)?\.png$")


class Prompt(NamedTuple):
    """A prompt line, taken apart."""

    text: str
    sampling: Sampling
    seed: int | None


class Picture(NamedTuple):
    """What a sample's name says: how far training was (epoch, or step), and the prompt's index."""

    number: int
    is_epoch: bool
    prompt: int


def prompt(line: str, *, sampler: str = SAMPLER) -> Prompt:
    """Return a line of a prompt file; `sampler` is that of the training's settings."""
    text, *options = line.split(" --")
    found: dict[str, str] = {}
    for option in options:
        if parts := re.match(r"(w|h|d|s|l|n|ss) (.+)", option.strip(), re.IGNORECASE):
            found[parts[1].lower()] = parts[2]
    sampling = Sampling(
        found.get("ss", sampler),
        _integer(found.get("s"), STEPS),
        _number(found.get("l"), SCALE),
        _integer(found.get("w"), SIDE),
        _integer(found.get("h"), SIDE),
        negative=found.get("n", ""),
    )
    seed = found.get("d", "")
    return Prompt(text.strip(), sampling, int(seed) if seed.isascii() and seed.isdigit() else None)


def picture(name: str) -> Picture | None:
    """Return what the name of a sample picture says; None: it is not sd-scripts' own."""
    found = _PICTURE.search(name)
    if not found:
        return None
    return Picture(int(found["number"]), bool(found["epoch"]), int(found["prompt"]))


def _integer(text: str | None, default: int) -> int:
    found = re.match(r"\d{1,6}", text or "")
    return int(found[0]) if found else default


def _number(text: str | None, default: float) -> float:
    try:
        return float(text) if text else default
    except ValueError:
        return default
