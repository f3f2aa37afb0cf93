"""Captions as a careful person writes them: sentences that differ, the trigger before its noun."""

from __future__ import annotations

import random

TRIGGER = "zkwq"
KINDS = ("photograph", "painting", "close-up", "drawing", "snapshot", "portrait", "wide shot")
MOODS = ("old", "cheerful", "tired", "young", "surprised", "laughing", "thoughtful", "sleeping")
NOUNS = ("woman", "person", "character", "girl", "dancer", "sailor")
DOINGS = (
    *("walking along the shore", "reading a letter", "holding a red umbrella", "riding a horse"),
    *("sitting at a café table", "waving at the camera", "baking bread", "climbing a rope ladder"),
    *("looking out of a window", "tying her boots", "playing the cello", "feeding two cats"),
)
PLACES = (
    *("in a snowy village", "under a grey sky", "at night", "near the harbour of Kraków"),
    *("in a kitchen with blue tiles", "before a brick wall", "on a wooden bridge", "at dawn"),
    *(
        "among tall sunflowers",
        "in front of 東京駅",
        "on stage in warm light",
        "by the Москва river",
    ),
)
MORE = ("", ".", "; soft light from the left", ", seen from above", " — blurred background", " 🌊")
FORMS = (
    "a {kind} of a {mood} {trigger} {noun} {doing} {place}{more}",
    "{mood} {trigger} {noun}, {doing} {place}{more}",
    "{place}, the {trigger} {noun} is {doing}{more}",
    "this {kind} shows one {trigger} {noun} {doing}{more}",
)


def captions(count: int, *, first: int = 0) -> list[str]:
    """Return `count` captions that all differ, those from number `first` on."""
    dice = random.Random(3)
    found: dict[str, None] = {}
    while len(found) < first + count:
        text = dice.choice(FORMS).format(
            trigger=TRIGGER,
            kind=dice.choice(KINDS),
            mood=dice.choice(MOODS),
            noun=dice.choice(NOUNS),
            doing=dice.choice(DOINGS),
            place=dice.choice(PLACES),
            more=dice.choice(MORE),
        )
        found[text] = None
    return list(found)[first:]
