"""Sizes: what is enlarged, cut off, left alone in its bucket, or stops sd-scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kohya_presets.dataset.checks.check import Check, Finding, each
from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.problems import first, plural

STRETCHED = 1.05  # times as much in one direction as in the other
MUCH = 0.2  # share of a picture that is cut off
_BUCKETS = "library/train_util.py, BucketManager.select_bucket"
_LOADED = "library/train_util.py, BaseDataset.__getitem__"


def _refused(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        why: dict[str, list[Path]] = {}
        for item in items:
            if item.refused:
                why.setdefault(item.refused, []).append(item.file)
        for reason, files in why.items():
            yield Finding(f"at which sd-scripts stops: {reason}", tuple(files))


def _small(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        sides = collection.subset(items[0]).settings.sides()
        if sides is None:
            continue
        area = sides[0] * sides[1]
        small = [i for i in items if i.placement and i.header.width * i.header.height < area]
        if small:
            files = tuple(item.file for item in small)
            placed = [item.placement for item in small if item.placement]
            most = max(one.scale for one in placed)
            what = f"smaller in area than {sides[0]} x {sides[1]}"
            enlarged = f", enlarged by up to {most:.2g} times" if most > 1 else ", trained as small"
            yield Finding(what + enlarged, files)


def _cut(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        placed = [(i.file, i.placement) for i in items if i.placement and i.placement.lost > MUCH]
        if placed:
            most = max(one.lost for _, one in placed)
            random = collection.subset(items[0]).has("random_crop")
            where = "from random sides" if random else "from two sides"
            what = f"of which up to {most:.0%} is cut off {where}"
            yield Finding(what, tuple(file for file, _ in placed))


def _is_stretched(item: Item) -> bool:
    return item.placement is not None and item.placement.stretched > STRETCHED


def _alone(collection: Collection) -> Iterator[Finding]:
    for number, epoch in collection.epochs.items():
        batch = collection.batch(number)
        alone = [size for size, count in epoch.pictures.items() if count < batch]
        if batch > 1 and alone:
            named = first([f"{width} x {height}" for width, height in sorted(alone)])
            what = f"{plural(len(alone), 'bucket')} with fewer pictures than a batch ({batch})"
            yield Finding(f"{what}: {named}")


CHECKS = (
    Check(
        "image-size",
        "error",
        "an image has a size at which sd-scripts stops",
        "It stops: when it sorts images into buckets, or when it comes to the image.",
        "Turn enable_bucket on, or crop the images to the resolution.",
        _refused,
        f"{_BUCKETS}; {_LOADED}",
    ),
    Check(
        "image-stretched",
        "warning",
        "an image whose size is not found: a BMP, or an AVIF with another ending",
        "It takes the image for a square, and squeezes the whole of it into a square bucket.",
        "Convert them to PNG, or use v0.10.0 or newer.",
        each(_is_stretched, "that is stretched or squeezed into a square bucket"),
        "library/train_util.py, BaseDataset.get_image_size; imagesize 1.4.1",
        "<0.10.0",
    ),
    Check(
        "image-small",
        "advice",
        "an image is smaller in area than the resolution",
        "It enlarges the image, or, with bucket_no_upscale, trains it as small as it is.",
        "Enlarge it yourself, with a good upscaler, or leave it out.",
        _small,
        f"guide: images below 1024 x 1024 in area; {_BUCKETS}",
    ),
    Check(
        "image-cut",
        "warning",
        "much of an image is cut off",
        "It scales the image to cover its bucket, and cuts off what sticks out.",
        "Crop the images yourself, or widen min_bucket_reso and max_bucket_reso.",
        _cut,
        "library/train_util.py, trim_and_resize_if_required",
    ),
    Check(
        "bucket-small",
        "note",
        "a bucket has fewer pictures than a batch",
        "The bucket's batch is smaller, and its pictures weigh more in their step.",
        "Crop them to the shape of others, or use batch_size = 1.",
        _alone,
        "library/train_util.py, BaseDataset.make_buckets",
    ),
)
