"""Read the images and captions of a dataset's subsets: headers first, pixels where asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from kohya_presets.dataset import caption, collection, trained
from kohya_presets.dataset.caption import Caption
from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.dataset.picture import Header
from kohya_presets.dataset.sizes import measured
from kohya_presets.dataset.sizes.buckets import Buckets
from kohya_presets.dataset.sizes.placement import Refused
from kohya_presets.dataset.subsets import Subset
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.errors import UserError
from kohya_presets.files import image_folder
from wrapper.data import remembered
from wrapper.data.reading import headers, pixels
from wrapper.data.reading.cache import Cache

Progress = Callable[[str, int, int], None]  # what is read, how many are done, of how many


def collect(
    subsets: Sequence[Subset],
    *,
    tokenizer: Tokenizer | None = None,
    trigger: str | None = None,
    cache: Cache | None = None,
    on_progress: Progress | None = None,
) -> Collection:
    """Return what the headers and captions of all images say. Nothing is written but the cache."""
    items = list(_items(subsets, cache, on_progress))
    if tokenizer:
        items = remembered.counted(items, subsets, tokenizer, cache)
    beside = {number: _beside(subset, items, number) for number, subset in enumerate(subsets)}
    masks = {file: mask for subset in subsets for file, mask in _masks(subset)}
    found = Collection(tuple(subsets), tuple(items), beside, masks, trigger=trigger)
    if trigger and tokenizer:
        count, rank = tokenizer.count(trigger), tokenizer.rank(trigger)
        found = replace(found, trigger_tokens=count, trigger_rank=rank)
    return found


def with_pixels(
    found: Collection, cache: Cache | None = None, on_progress: Progress | None = None
) -> Collection:
    """Return a collection with what the pixels of its images say.

    Nothing is written but the cache. A Ctrl-C passes through; what was read by then is in it.
    """
    sound = [item.file for item in found.items if item.header.fault is None]

    def tell(done: int, count: int) -> None:
        if on_progress:
            on_progress("pixels", done, count)

    measured = {one.file: one for one in pixels.read(sound, cache, on_progress=tell)}
    items = tuple(replace(item, pixels=measured.get(item.file)) for item in found.items)
    once = [measured[file] for file in dict.fromkeys(sound) if file in measured]
    return replace(found, items=items, groups=remembered.groups(once, cache))


def _items(
    subsets: Sequence[Subset], cache: Cache | None, on_progress: Progress | None
) -> Iterator[Item]:
    every = [listed(subset) for subset in subsets]
    count, done = sum(map(len, every)), 0
    for number, (subset, images) in enumerate(zip(subsets, every, strict=True)):
        placed = collection.placements(subset)
        for header in remembered.headers(list(images), cache):
            text, file = _caption(subset, images[header.file], header.file)
            yield _placed(Item(number, header, file, text), placed, subset.release)
            done += 1
            if on_progress and done % 100 in (0, count % 100):
                on_progress("headers", done, count)


def listed(subset: Subset) -> dict[Path, str]:
    """Return the images of a subset, with the caption of those that a metadata file has."""
    try:
        if subset.metadata:
            return {entry.image: entry.caption for entry in subset.entries if entry.image}
        return dict.fromkeys(subset.images, "")
    except UserError:  # which a check tells
        return {}


def _caption(subset: Subset, said: str, image: Path) -> tuple[str, Caption | None]:
    """Return the caption that is trained, and its file."""
    if subset.kind == "metadata":
        return trained.text(said, subset), None
    found = caption.find(image, subset.caption_extension)
    if found is None:
        return trained.text(subset.class_tokens or "", subset), None
    try:
        data = found.read_bytes()
    except OSError:
        return "", None
    read = caption.of_bytes(found, data, wildcard=subset.has("enable_wildcard"))
    return trained.text(read.text, subset), read


def _placed(item: Item, made: Buckets | None, release: str) -> Item:
    width, height = item.header.size
    if made is None or width < 1 or height < 1 or made.skips(width, height):
        return item
    seen = measured.believed(item.header, release)
    try:
        return replace(item, placement=made.place(width, height, seen))
    except Refused as error:
        return replace(item, refused=str(error))


def _beside(subset: Subset, items: Sequence[Item], number: int) -> tuple[Path, ...]:
    """Return what is in a subset's folder and is none of its images.

    Among it are folders, and links to nothing, if they have an image's name.
    """
    if subset.kind == "metadata" or not subset.folder or not subset.folder.is_dir():
        return ()
    images = {item.file.name for item in items if item.subset == number}
    with os.scandir(subset.folder) as entries:
        others = [entry for entry in entries if entry.name not in images]
        names = [e.name for e in others if _is_named_so(e.name) or e.is_file()]
    return tuple(subset.folder / name for name in sorted(names))


def _is_named_so(name: str) -> bool:
    return image_folder.is_named_so(PurePath(name))


def _masks(subset: Subset) -> Iterator[tuple[Path, Header]]:
    """Yield the images of a subset that have a mask, each with its mask's header."""
    if subset.kind != "masks" or not subset.masks or not subset.masks.is_dir():
        return
    first: dict[str, Path] = {}
    for mask in image_folder.images(subset.masks):
        first.setdefault(mask.stem, mask)
    found = {image: first[image.stem] for image in subset.images if image.stem in first}
    yield from zip(found, headers.read(found.values()), strict=True)
