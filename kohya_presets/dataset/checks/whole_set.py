"""The set as a whole: how many, how alike, and words that stand in nearly every caption.

What its pictures look like is in `balance`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from kohya_presets.dataset.checks.check import Check, Finding
from kohya_presets.dataset.collection import Collection
from kohya_presets.problems import listed, plural

FEWEST, MOST = 20, 150  # images: the guide's range
NEARLY_ALL = 0.9
TAGS = 0.5  # of a caption's parts between commas that are a word or two
_FEW = 8  # images: of fewer, shares say nothing
_FUNCTION = frozenset("a an the of and or in on at with to from by for is are her his its".split())  # noqa: SIM905


def _count(collection: Collection) -> Iterator[Finding]:
    count = len(collection.trained)
    if 0 < count < FEWEST or count > MOST:
        yield Finding(f"{plural(count, 'image')} in all; the guide has {FEWEST} to {MOST}")


def _exact(collection: Collection) -> Iterator[Finding]:
    for group in collection.groups:
        if group.exact:
            yield Finding("that are the same file", group.files)


def _near(collection: Collection) -> Iterator[Finding]:
    for group in collection.groups:
        if not group.exact:
            mirrored = any(link.mirrored for link in group.links)
            yield Finding("that look alike" + (", mirrored" if mirrored else ""), group.files)


def _mixed_style(collection: Collection) -> Iterator[Finding]:
    items = [item for item in collection.trained if item.text]
    tagged = [item for item in items if _is_tags(item.text)]
    if len(items) >= _FEW and 0 < len(tagged) < len(items):
        fewer = tagged if len(tagged) * 2 <= len(items) else [i for i in items if i not in tagged]
        kind = "tags" if fewer is tagged else "sentences"
        yield Finding(f"captioned with {kind}, unlike the others", tuple(i.file for i in fewer))


def _is_tags(text: str) -> bool:
    """Return whether a caption is tags: most of its parts are of two words or less."""
    parts = [part.split() for part in text.split(",") if part.strip()]
    return len(parts) > 2 and sum(len(part) <= 2 for part in parts) > TAGS * len(parts)


def _everywhere(collection: Collection) -> Iterator[Finding]:
    items = [item for item in collection.trained if item.text]
    if len(items) < _FEW:
        return
    seen = Counter(word for item in items for word in _words(item.text))
    trigger = _words(collection.trigger or "")
    common = [
        word
        for word, count in sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))[:12]
        if count >= NEARLY_ALL * len(items) and word not in trigger and word not in _FUNCTION
    ]
    if common:
        yield Finding(f"nearly every caption has {listed(repr(word) for word in common)}")


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w[\w'-]*", text.lower()))


def _without_trigger(collection: Collection) -> Iterator[Finding]:
    if trigger := collection.trigger:
        items = [item for item in collection.trained if item.text]
        if without := tuple(i.file for i in items if trigger.lower() not in i.text.lower()):
            yield Finding(f"whose caption lacks {trigger!r}", without)


def _trigger_first(collection: Collection) -> Iterator[Finding]:
    if trigger := collection.trigger:
        items = [item for item in collection.trained if item.text]
        first = tuple(i.file for i in items if i.text.lower().startswith(trigger.lower()))
        if first and len(first) >= NEARLY_ALL * len(items):
            yield Finding(f"whose caption begins with {trigger!r}", first)


def _known_trigger(collection: Collection) -> Iterator[Finding]:
    if collection.trigger and collection.trigger_rank is not None:
        yield Finding(f"{collection.trigger!r} is a word that the model knows (one token)")


def _long_trigger(collection: Collection) -> Iterator[Finding]:
    count = collection.trigger_tokens or 0
    if collection.trigger and count > 3:
        yield Finding(f"{collection.trigger!r} is {count} tokens of each caption")


_GUIDE = "guide: images and captions"
CHECKS = (
    Check(
        "set-size",
        "advice",
        "fewer or more images than the guide trains a concept with",
        "It trains as many as there are.",
        "Choose the best ones; few good images do more than many poor ones.",
        _count,
        "guide: how many images",
    ),
    Check(
        "duplicate",
        "warning",
        "images are the same file",
        "It trains each of them, so the picture weighs more than others.",
        "Keep one. To repeat a picture, use num_repeats.",
        _exact,
        "library/train_util.py, glob_images",
    ),
    Check(
        "look-alike",
        "advice",
        "images look alike",
        "It trains each of them, so the picture weighs more than others.",
        "Look at them, and keep the best one.",
        _near,
        "docs/dataset.md: how alikeness is measured, and how often it errs",
    ),
    Check(
        "caption-style",
        "advice",
        "tags and sentences are mixed",
        "It trains both as they are.",
        "Write all captions in one style, the one that you will prompt with.",
        _mixed_style,
        _GUIDE,
    ),
    Check(
        "caption-words",
        "note",
        "a word stands in nearly every caption",
        "What all captions say is learned together with what all images show.",
        "Leave such words out, if they are what the trigger is to call.",
        _everywhere,
        _GUIDE,
    ),
    Check(
        "trigger-missing",
        "warning",
        "a caption lacks the trigger",
        "It trains the image without the trigger.",
        "Add it: `kohya-presets captions DIR --trigger TOKEN --where before-noun`.",
        _without_trigger,
        _GUIDE,
    ),
    Check(
        "trigger-first",
        "advice",
        "the trigger stands at the front of nearly all captions",
        "It trains them so.",
        "Write it before the noun that it stands for: at the front it is diluted, says the guide.",
        _trigger_first,
        "guide: trigger tokens",
    ),
    Check(
        "trigger-known",
        "advice",
        "the trigger is a word that the model knows",
        "The word's old meaning is mixed with the new one.",
        "Choose a rare one.",
        _known_trigger,
        "guide: trigger tokens",
    ),
    Check(
        "trigger-long",
        "note",
        "the trigger is many tokens",
        "It takes room that other words need.",
        "Choose a shorter one.",
        _long_trigger,
        "guide: trigger tokens",
    ),
)
