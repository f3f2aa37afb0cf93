"""Subsets as a whole: folders, masks, metadata files, regularization images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kohya_presets.dataset.checks.check import Check, Finding
from kohya_presets.dataset.collection import Collection
from kohya_presets.dataset.subsets import Subset
from kohya_presets.errors import UserError
from kohya_presets.files import image_folder
from kohya_presets.problems import Place, plural

CACHED = "metadata_cache.json"  # library/train_util.py, DreamBoothDataset.IMAGE_INFO_CACHE_FILE
_DREAMBOOTH = "library/train_util.py, DreamBoothDataset"
_METADATA = "library/train_util.py, FineTuningDataset"
_MASKS = "library/train_util.py, ControlNetDataset"


def _used(collection: Collection) -> Iterator[tuple[int, Subset]]:
    for number, subset in enumerate(collection.subsets):
        if number not in collection.unused:
            yield number, subset


def _nothing(collection: Collection) -> Iterator[Finding]:
    if len(collection.unused) < len(collection.subsets):
        return
    for number, subset in enumerate(collection.subsets):
        folder = subset.folder
        if folder and folder.is_dir() and not collection.of(number):
            deeper = sum(map(image_folder.is_image, folder.rglob("*")))
            if deeper:
                here = f"there is no image in it, but {plural(deeper, 'image')} in its subfolders"
                hint = "Give the subfolder itself. Set repeats with --set dataset.num_repeats=N."
                yield Finding(here, where=Place(folder), hint=hint)
                continue
        yield Finding(collection.unused[number], where=_place(subset))


def _left_out(collection: Collection) -> Iterator[Finding]:
    if len(collection.unused) < len(collection.subsets):
        for number, why in collection.unused.items():
            yield Finding(f"{why}, so it is left out", where=_place(collection.subsets[number]))


def _place(subset: Subset) -> Place:
    return subset.where if subset.where.file else Place(subset.metadata or subset.folder)


def _listing_unreadable(collection: Collection) -> Iterator[Finding]:
    for subset in collection.subsets:
        try:
            subset.entries()
        except UserError as error:
            yield Finding(str(error), where=_place(subset), hint=error.hint)


def _listing_without_images(collection: Collection) -> Iterator[Finding]:
    for subset in _readable(collection):
        lost = [entry.key for entry in subset.entries() if entry.image is None]
        if lost:
            what = f"the metadata file names images that are not found: {', '.join(lost[:3])}"
            what += f" and {len(lost) - 3} more" if lost[3:] else ""
            yield Finding(what, where=_place(subset))


def _readable(collection: Collection) -> Iterator[Subset]:
    for subset in collection.subsets:
        try:
            if subset.entries():
                yield subset
        except UserError:
            continue


def _listing_broken_releases(collection: Collection) -> Iterator[Finding]:
    for subset in _readable(collection):
        if not subset.settings.train("cache_latents"):
            what = "a metadata file works in these releases only with cache_latents"
            yield Finding(what, where=_place(subset))


def _masks_missing(collection: Collection) -> Iterator[Finding]:
    for number, subset in _used(collection):
        if subset.kind == "masks" and subset.masks and subset.masks.is_dir():
            there = {mask.stem for mask in image_folder.images(subset.masks)}
            without = tuple(i.file for i in collection.of(number) if i.file.stem not in there)
            if without:
                yield Finding(f"without a mask in {subset.masks}", without)


def _masks_extra(collection: Collection) -> Iterator[Finding]:
    for number, subset in _used(collection):
        if subset.kind == "masks" and subset.masks and subset.masks.is_dir():
            there = {item.file.stem for item in collection.of(number)}
            masks = image_folder.images(subset.masks)
            if extra := tuple(mask for mask in masks if mask.stem not in there):
                yield Finding("that is a mask of no image", extra)


def _masks_nowhere(collection: Collection) -> Iterator[Finding]:
    for _, subset in _used(collection):
        if subset.kind == "masks" and not (subset.masks and subset.masks.is_dir()):
            yield Finding(f"there is no folder of masks {subset.masks}", where=_place(subset))


def _numberless(collection: Collection) -> Iterator[Finding]:
    around = {
        s.folder.parent for s in collection.subsets if s.folder and s.class_tokens is not None
    }
    for folder in sorted(around):
        taken = {subset.folder for subset in collection.subsets}
        lost = [d for d in sorted(folder.iterdir()) if d.is_dir() and d not in taken]
        if lost := [d for d in lost if image_folder.images(d)]:
            named = ", ".join(inside.name for inside in lost[:3])
            what = f"folders with images but without a number in front are not read: {named}"
            yield Finding(what, where=Place(folder))


def _regularization_unused(collection: Collection) -> Iterator[Finding]:
    for number in {subset.dataset for subset in collection.subsets}:
        train, reg, where = 0, 0, None
        for at, subset in _used(collection):
            if subset.dataset == number:
                count = subset.repeats * len(collection.of(at))
                train += 0 if subset.is_reg else count
                reg += count if subset.is_reg else 0
                where = _place(subset) if subset.is_reg else where
        if reg > train:
            yield Finding(f"{train} of {reg} regularization images are used", where=where)


def _listed_before(collection: Collection) -> Iterator[Finding]:
    for number, subset in _used(collection):
        if subset.folder and subset.has("cache_info") and (subset.folder / CACHED).is_file():
            here: tuple[Path, ...] = (subset.folder / CACHED,)
            what = f"the images are those that {CACHED} lists, and not those in the folder"
            if collection.of(number):
                yield Finding(what, where=Place(here[0]))


CHECKS = (
    Check(
        "nothing-to-train",
        "error",
        "no subset has an image that sd-scripts reads",
        'It says "No data found" and ends with exit code 0: no model, and no error.',
        "Give a folder with images in it.",
        _nothing,
        f"{_DREAMBOOTH}.load_dreambooth_dir; sdxl_train.py, train",
    ),
    Check(
        "subset-left-out",
        "warning",
        "a subset is left out",
        "It leaves the subset out with a line in its log, and trains with the others.",
        "Correct it, or delete the subset.",
        _left_out,
        f"{_DREAMBOOTH}.__init__",
    ),
    Check(
        "metadata-unreadable",
        "error",
        "a metadata file cannot be read",
        "It stops when it reads the images.",
        "Make it anew with the tools in sd-scripts' folder finetune.",
        _listing_unreadable,
        _METADATA,
    ),
    Check(
        "metadata-lost",
        "error",
        "a metadata file names images that are not there",
        "It stops when it reads the images.",
        "Give the folder as image_dir, or write the images' full paths as keys.",
        _listing_without_images,
        _METADATA,
    ),
    Check(
        "metadata-needs-cache",
        "error",
        "a metadata file without cache_latents",
        "It stops with an AttributeError ('cache_suffix') when it reads the images.",
        "Use another release, or caption files beside the images.",
        _listing_broken_releases,
        _METADATA,
        ">=0.10.0,<0.10.6",
    ),
    Check(
        "mask-missing",
        "error",
        "an image has no mask in conditioning_data_dir",
        'It stops with "missing conditioning data" when it reads the images.',
        "Add the masks, each with the name of its image.",
        _masks_missing,
        _MASKS,
    ),
    Check(
        "mask-extra",
        "error",
        "a mask in conditioning_data_dir belongs to no image",
        'It stops with "extra conditioning data" when it reads the images.',
        "Move it out of the folder.",
        _masks_extra,
        _MASKS,
    ),
    Check(
        "mask-folder",
        "error",
        "conditioning_data_dir is no folder",
        "It warns, and stops at the first batch: there is no mask to load.",
        "Correct the path.",
        _masks_nowhere,
        _MASKS,
    ),
    Check(
        "folder-without-number",
        "warning",
        "a folder in train_data_dir has no number in front",
        "It ignores the folder with a line in its log.",
        "Rename it to 1_NAME; 1 is how often each image is repeated.",
        _numberless,
        "library/config_util.py, generate_dreambooth_subsets_config_by_subdirs",
    ),
    Check(
        "regularization-unused",
        "warning",
        "there are more regularization images than training images",
        "It takes as many as there are training images, counted with repeats, from the front.",
        "Use fewer, or raise num_repeats of the training images.",
        _regularization_unused,
        f"{_DREAMBOOTH}.__init__",
    ),
    Check(
        "listed-before",
        "note",
        "cache_info takes images, captions and sizes from an earlier run",
        f"It reads {CACHED} and does not look into the folder: changes are not seen.",
        f"Delete {CACHED} after each change of the folder.",
        _listed_before,
        f"{_DREAMBOOTH}.load_dreambooth_dir",
    ),
)
