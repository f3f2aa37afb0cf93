"""What a contact sheet says of each image: values only, nothing is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kohya_presets.dataset.checks.check import Found
from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.dataset.picture import Group
from kohya_presets.dataset.sizes.placement import Size
from kohya_presets.pages.shown import visible, written

LONGEST = 1200  # characters of a caption, and of what is cut off, that are shown
NAMED = 6  # others that are the same picture


@dataclass(frozen=True)
class Mark:
    """A finding on one image."""

    code: str
    severity: str
    what: str  # in general: what is special to the image, the card shows
    todo: str = ""


@dataclass(frozen=True)
class Card:
    """One image as the page shows it; every text of a user's is made `visible`.

    `kept` is the part of the caption that is trained, `cut` what is beyond its tokens, `unread`
    the lines that sd-scripts does not read. Sizes are (width, height) in pixels.
    """

    number: int
    name: str
    folder: str
    kept: str
    cut: str
    unread: str
    size: Size
    bucket: Size | None
    scale: float  # how much larger the trainer makes it
    lost: float  # the share that is cropped, from 0 to 1
    repeats: int
    is_reg: bool
    tokens: int | None
    room: int | None
    sharpness: float | None
    marks: tuple[Mark, ...] = ()
    alike: tuple[str, ...] = ()  # names of others that are the same picture
    same: bool = False  # those are the same file, byte for byte
    fault: str = ""  # why it is not trained
    item: Item | None = field(default=None, compare=False, repr=False)


def of(collection: Collection, found: Sequence[Found]) -> list[Card]:
    """Return a card for each image, in the order of the subsets."""
    marks: dict[Path, list[Mark]] = {}
    for one in found:
        mark = Mark(
            one.check.code, one.check.severity, one.check.says, visible(one.problem.hint or "")
        )
        for file in dict.fromkeys(one.finding.files):
            marks.setdefault(file, []).append(mark)
    labels = folders(collection)
    groups = {file: group for group in collection.groups for file in group.files}
    return [
        _card(number, item, collection, labels[item.subset], marks, groups.get(item.file))
        for number, item in enumerate(collection.items)
    ]


def folders(collection: Collection) -> list[str]:
    """Return what each subset is called: the last part of its path, with more where two are alike.

    Never the whole path: a page may be shown to others.
    """
    paths = [Path(subset.name) for subset in collection.subsets]
    count = Counter(path.name for path in paths)
    return [
        visible(path.name if count[path.name] == 1 else "/".join(path.parts[-2:])) for path in paths
    ]


def _card(
    number: int,
    item: Item,
    collection: Collection,
    folder: str,
    marks: Mapping[Path, Sequence[Mark]],
    group: Group | None,
) -> Card:
    subset, placed, counted = collection.subset(item), item.placement, item.counted
    end = counted.end if counted and counted.end is not None else len(item.text)
    own = [*marks.get(item.file, ()), *(marks.get(item.caption.file, ()) if item.caption else ())]
    pixels = item.pixels
    others = [file.name for file in group.files if file != item.file] if group else []
    return Card(
        number,
        visible(item.file.name),
        folder,
        _shown(item.text[:end]),
        _shown(item.text[end:]),
        _shown("\n".join(item.caption.unread) if item.caption else ""),
        item.header.size,
        placed.bucket if placed else None,
        placed.scale if placed else 1.0,
        placed.lost if placed else 0.0,
        subset.repeats,
        subset.is_reg,
        counted.tokens if counted else None,
        counted.room if counted else None,
        round(pixels.sharpness, 1) if pixels and not pixels.fault else None,
        tuple(dict.fromkeys(own)),
        (
            *map(visible, others[:NAMED]),
            *([f"{len(others) - NAMED} more"] if others[NAMED:] else []),
        ),
        group is not None and group.exact,
        visible(item.header.fault or item.refused),
        item,
    )


def _shown(text: str) -> str:
    more = len(text) - LONGEST
    if more <= 0:
        return visible(text)
    return f"{visible(text[:LONGEST])} {written(f'{more} more characters')}"
