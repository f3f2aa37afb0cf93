"""Masks: images in conditioning_data_dir, each with the name of the image that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator

from kohya_presets.dataset.checks.check import Check, Finding
from kohya_presets.dataset.checks.kinds import in_use, place
from kohya_presets.dataset.collection import Collection
from kohya_presets.files import image_folder

SHIFTED = 0.05  # the share of an image that is cut off
_MASKS = "library/train_util.py, ControlNetDataset"


def _missing(collection: Collection) -> Iterator[Finding]:
    for number, subset in in_use(collection):
        if subset.kind == "masks" and subset.masks and subset.masks.is_dir():
            without = tuple(i.file for i in collection.of(number) if i.file not in collection.masks)
            if without:
                yield Finding(f"without a mask in {subset.masks}", without)


def _extra(collection: Collection) -> Iterator[Finding]:
    for number, subset in in_use(collection):
        if subset.kind == "masks" and subset.masks and subset.masks.is_dir():
            there = {item.file.stem for item in collection.of(number)}
            masks = image_folder.images(subset.masks)
            if extra := tuple(mask for mask in masks if mask.stem not in there):
                yield Finding("that is a mask of no image", extra)


def _nowhere(collection: Collection) -> Iterator[Finding]:
    for _, subset in in_use(collection):
        if subset.kind == "masks" and not (subset.masks and subset.masks.is_dir()):
            yield Finding(f"there is no folder of masks {subset.masks}", where=place(subset))


def _broken(collection: Collection) -> Iterator[Finding]:
    masks = collection.masks.values()
    if broken := tuple(mask.file for mask in masks if mask.fault and not mask.unsupported):
        yield Finding("that cannot be read", broken)


def _other_size(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        if not collection.subset(items[0]).has("enable_bucket"):
            continue
        pairs = ((item, collection.masks.get(item.file)) for item in items)
        other = tuple(
            mask.file
            for item, mask in pairs
            if mask and not mask.fault and not item.header.fault and mask.size != item.header.size
        )
        if other:
            yield Finding("with another size than its image", other)


def _squeezed(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        if not collection.subset(items[0]).has("enable_bucket"):
            continue
        masked = ((item.file, item.placement) for item in items if item.file in collection.masks)
        if found := tuple(file for file, one in masked if one and one.lost > SHIFTED):
            yield Finding("of which a part is cut off, but not of its mask", found)


CHECKS = (
    Check(
        "mask-missing",
        "error",
        "an image has no mask in conditioning_data_dir",
        'It stops with "missing conditioning data" when it reads the images.',
        "Add the masks, each with the name of its image.",
        _missing,
        _MASKS,
    ),
    Check(
        "mask-extra",
        "error",
        "a mask in conditioning_data_dir belongs to no image",
        'It stops with "extra conditioning data" when it reads the images.',
        "Move it out of the folder.",
        _extra,
        _MASKS,
        "<0.10.2",
        noun="mask",
    ),
    Check(
        "mask-unused",
        "warning",
        "a mask in conditioning_data_dir belongs to no image",
        "It does not use the mask, and names it in its log.",
        "Give it the name of its image.",
        _extra,
        _MASKS,
        ">=0.10.2",
        noun="mask",
    ),
    Check(
        "mask-folder",
        "error",
        "conditioning_data_dir is no folder",
        "It warns, and stops at the first batch: there is no mask to load.",
        "Correct the path.",
        _nowhere,
        _MASKS,
    ),
    Check(
        "mask-broken",
        "error",
        "a mask cannot be opened",
        "It stops when it comes to the image of the mask.",
        "Replace the file.",
        _broken,
        f"{_MASKS}.__getitem__",
        noun="mask",
    ),
    Check(
        "mask-size",
        "error",
        "a mask has another size than its image, and enable_bucket is on",
        'It stops with "size of conditioning image is not match" when it comes to the image.',
        "Scale the masks to the sizes of their images.",
        _other_size,
        f"{_MASKS}.__getitem__",
        noun="mask",
    ),
    Check(
        "mask-squeezed",
        "warning",
        "an image is cropped to its bucket, and its mask is not",
        "It crops the image, but squeezes the whole mask into the bucket: they do not fit.",
        "Crop images and masks to the shapes of buckets, or use v0.9.1 or v0.11.1.",
        _squeezed,
        f"{_MASKS}.__getitem__",
        ">=0.10.0,<0.11.1",
    ),
)
