"""A set of prompts by which a person judges a model, as the guide does it.

Guide, "Evaluating your model": captions word for word, things near the training images, and generic
ones (people, objects, landscapes) in batches of four.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kohya_presets.problems import plural
from kohya_presets.prompts import lines
from kohya_presets.prompts.lines import KINDS, SIDE, Kind, Prompt, file_text
from kohya_presets.training import settings

NEARLY_ALL = 0.9  # of the captions: a word in so many may be the trigger
HEADINGS: Mapping[Kind, str] = {
    "caption": "captions word for word: does the training image come back? (overtraining)",
    "near": "near the captions: does it follow other framing, places and styles?",
    "trigger": "the trigger in unlike scenes: is it learned?",
    "without": "the same scenes without it: did they stay as they were? (leaking)",
    "generic": "people, objects, landscapes, four pictures each: did they stay as they were?",
    "other": "others",
}
_NEAR = ("close-up", "seen from far away", "in a snowy forest at night", "as a watercolor painting")
_SCENES = (
    "on a beach at sunset",
    "in a library, reading a book",
    "in a busy street in the rain",
    "in front of a plain white wall, pencil drawing",
)
_GENERIC = ("a portrait of a person", "a bowl of fruit on a table", "a mountain landscape")
_BATCH = 4
_CAPTIONS = 4
_SEEDS = 2  # pictures of each caption, so that they can be compared with each other
_FUNCTION = frozenset(
    "a an the of and or in on at with to from by for is are her his its as".split()  # noqa: SIM905
)
_MEDIA = frozenset(
    "photo photograph picture image painting drawing illustration portrait snapshot".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Wish:
    """How the pictures are made. Sizes are in pixels; None is left to the script."""

    width: int = SIDE
    height: int = SIDE
    steps: int | None = None
    scale: float | None = None
    negative: str | None = None
    seed: int = 1


def of_size(dataset: Mapping[str, Any]) -> Wish:
    """Return how pictures are made for a preset's dataset: as large as the images it trains."""
    sides = settings.sides(dataset.get("resolution"))
    return Wish(*sides) if sides else Wish()


def made(
    captions: Sequence[str], trigger: str | None, noun: str | None = None, wish: Wish | None = None
) -> list[Prompt]:
    """Return the whole set. `noun` stands for the trigger where that is left out ("woman")."""
    wish = wish or Wish()
    several = spread([*dict.fromkeys(map(plain, captions))], _CAPTIONS)
    found = [_prompt(one, "caption", wish, seed) for one in several for seed in range(_SEEDS)]
    found += [_near(one, more, wish) for one, more in zip(several, _NEAR, strict=False)]
    found += sorted(_scenes(trigger, noun, wish), key=lambda prompt: KINDS.index(prompt.kind))
    found += [_prompt(one, "generic", wish, seed) for one in _GENERIC for seed in range(_BATCH)]
    return found


def few(captions: Sequence[str], trigger: str | None, wish: Wish | None = None) -> list[Prompt]:
    """Return a small set of the same kinds, for pictures while the training goes on."""
    wish = wish or Wish()
    several = spread([*dict.fromkeys(map(plain, captions))], 2)
    found = [_prompt(one, "caption", wish) for one in several]
    found += [_near(one, _NEAR[2], wish) for one in several[:1]]
    return [*found, *islice(_scenes(trigger, None, wish), 2), _prompt(_GENERIC[0], "generic", wish)]


def text(prompts: Sequence[Prompt], captions: int, trigger: str | None) -> str:
    """Return the set as a file."""
    said = [
        f"Prompts made by kohya-presets from {plural(captions, 'caption')}: change what you like.",
        "Each line makes one picture. Lines that begin with # are not read by sd-scripts.",
        f"{lines.TRIGGER} {trigger or 'none; give it by --trigger'}",
    ]
    return file_text(prompts, said, HEADINGS)


def trigger_of(captions: Sequence[str]) -> str | None:
    """Return the words that stand together in nearly every caption, or None.

    Of "a photo of zkw woman" they are "zkw woman": words for pictures and function words at the
    ends do not count. It may be a habit of whoever wrote the captions, and no trigger.
    """
    if len(captions) < 2:
        return None
    least = NEARLY_ALL * len(captions)
    counted = Counter(phrase for one in captions for phrase in dict.fromkeys(_phrases(one.lower())))
    common = [phrase for phrase, count in counted.items() if count >= least]
    best = max(common, key=len, default=None)  # of several, the first
    if best is None:
        return None
    found = re.search(r"\s+".join(map(re.escape, best)), captions[0], re.IGNORECASE)
    return found[0] if found else " ".join(best)


def plain(caption: str) -> str:
    """Return a caption as a prompt that is read as these words and nothing else.

    In prompts brackets are weights and braces choices, " --" begins an option, and a "#" in front
    makes a comment. sdxl_gen_img.py parts a prompt at BREAK and AND; CLIP's tokens know no case.
    """
    text = re.sub(r"\b(BREAK|AND)\b", lambda found: found[0].lower(), caption)
    text = re.sub(r"[{}]", "", text).replace(" --", " - ").lstrip("# ")
    return " ".join(re.sub(r"([\\()\[\]])", r"\\\1", text).split())


def spread(several: Sequence[str], count: int) -> list[str]:
    """Return `count` of them, from all over the sequence, the first and the last among them."""
    if len(several) <= count:
        return [*several]
    return [several[round(n * (len(several) - 1) / (count - 1))] for n in range(count)]


def _phrases(caption: str) -> Iterator[tuple[str, ...]]:
    """Yield runs of up to three words that nothing parts, and that say more than "a photo of"."""
    for part in re.split(r"[^\w\s'-]+", caption):
        words = [word if word not in _FUNCTION | _MEDIA else "" for word in part.split()]
        for start in range(len(words)):
            for end in range(start + 1, min(start + 3, len(words)) + 1):
                if all(words[start:end]):
                    yield tuple(words[start:end])


def _near(caption: str, more: str, wish: Wish) -> Prompt:
    return _prompt(f"{caption.rstrip(' .,')}, {more}", "near", wish)


def _scenes(trigger: str | None, noun: str | None, wish: Wish) -> Iterator[Prompt]:
    """Yield each scene with the trigger, and then without it."""
    for scene in _SCENES if trigger else ():
        yield _prompt(f"{trigger} {scene}", "trigger", wish)
        yield _prompt(f"{noun} {scene}" if noun else _alone(scene), "without", wish)


def _alone(scene: str) -> str:
    """Return a scene with nobody in it: "in a library" becomes "a library"."""
    return re.sub(r"^(on|in front of|in) ", "", scene)


def _prompt(text: str, kind: Kind, wish: Wish, seed: int = 0) -> Prompt:
    return Prompt(
        " ".join(text.split()),
        kind,
        wish.seed + seed,
        wish.width,
        wish.height,
        wish.steps,
        wish.scale,
        wish.negative,
    )
