"""Subsets as a whole: folders, masks, metadata files, regularization images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kohya_presets.dataset.checks.check import Check, Finding
from kohya_presets.dataset.collection import Collection
from kohya_presets.dataset.subsets import Subset
from kohya_presets.errors import UserError
from kohya_presets.files import image_folder
from kohya_presets.problems import Place, first, plural
from kohya_presets.sdscripts import options

CACHED = "metadata_cache.json"  # library/train_util.py, DreamBoothDataset.IMAGE_INFO_CACHE_FILE
_STOPPING = ">=0.8.6,<0.8.8"  # at a folder that does not exist
_DREAMBOOTH = "library/train_util.py, DreamBoothDataset"
_METADATA = "library/train_util.py, FineTuningDataset"


def in_use(collection: Collection) -> Iterator[tuple[int, Subset]]:
    """Yield the subsets that sd-scripts does not leave out, with their numbers."""
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
        if not _stops_without(subset):
            yield Finding(collection.unused[number], where=place(subset))


def _regularization_only(collection: Collection) -> Iterator[Finding]:
    used = [subset for _, subset in in_use(collection)]
    if used and all(subset.is_reg for subset in used):
        yield Finding("there are regularization images only", where=place(used[0]))


def _left_out(collection: Collection) -> Iterator[Finding]:
    if len(collection.unused) < len(collection.subsets):
        for number, why in collection.unused.items():
            subset = collection.subsets[number]
            if not _stops_without(subset):
                yield Finding(f"{why}, so it is left out", where=place(subset))


def _no_folder(collection: Collection) -> Iterator[Finding]:
    for subset in collection.subsets:
        if _stops_without(subset):
            yield Finding(f"there is no folder {subset.folder}", where=place(subset))


def _stops_without(subset: Subset) -> bool:
    """Return whether a subset has no folder, and the release stops at that."""
    gone = not subset.metadata and subset.repeats > 0 and bool(subset.folder)
    gone = gone and not (subset.folder and subset.folder.is_dir())
    return gone and options.is_in(subset.release, _STOPPING)


def place(subset: Subset) -> Place:
    """Return where a subset is defined."""
    return subset.where if subset.where.file else Place(subset.metadata or subset.folder)


def _listing_unreadable(collection: Collection) -> Iterator[Finding]:
    for subset in collection.subsets:
        if error := _fault(subset):
            yield Finding(str(error), where=place(subset), hint=error.hint)


def _listing_without_images(collection: Collection) -> Iterator[Finding]:
    for subset in _readable(collection):
        lost = [entry.key for entry in subset.entries if entry.image is None]
        if lost:
            what = f"the metadata file names images that are not found: {first(lost)}"
            yield Finding(what, where=place(subset))


def _readable(collection: Collection) -> Iterator[Subset]:
    for subset in collection.subsets:
        if not _fault(subset) and subset.entries:
            yield subset


def _fault(subset: Subset) -> UserError | None:
    """Return why a subset's metadata file cannot be read, or None."""
    try:
        _ = subset.entries
    except UserError as error:
        return error
    return None


def _listing_broken_releases(collection: Collection) -> Iterator[Finding]:
    for subset in _readable(collection):
        if not subset.settings.train("cache_latents"):
            what = "a metadata file works in these releases only with cache_latents"
            yield Finding(what, where=place(subset))


def _numberless(collection: Collection) -> Iterator[Finding]:
    around = {
        s.folder.parent for s in collection.subsets if s.folder and s.class_tokens is not None
    }
    for folder in sorted(around):
        taken = {subset.folder for subset in collection.subsets}
        lost = [d for d in sorted(folder.iterdir()) if d.is_dir() and d not in taken]
        if lost := [d for d in lost if image_folder.images(d)]:
            named = ", ".join(inside.name for inside in lost[:3])
            what = f"folders with images but no number above 0 in front are not read: {named}"
            yield Finding(what, where=Place(folder))


def _regularization_unused(collection: Collection) -> Iterator[Finding]:
    for number in {subset.dataset for subset in collection.subsets}:
        train, reg, where = 0, 0, None
        for at, subset in in_use(collection):
            if subset.dataset == number:
                count = subset.repeats * len(collection.of(at))
                train += 0 if subset.is_reg else count
                reg += count if subset.is_reg else 0
                where = place(subset) if subset.is_reg else where
        if reg > train:
            yield Finding(f"{train} of {reg} regularization images are used", where=where)


def _listed_before(collection: Collection) -> Iterator[Finding]:
    for number, subset in in_use(collection):
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
        "regularization-only",
        "error",
        "there are regularization images only",
        'It says "No data found" and ends with exit code 0: no model, and no error.',
        "Give training images, or write is_reg = false.",
        _regularization_only,
        f"{_DREAMBOOTH}.__init__; sdxl_train.py, train",
    ),
    Check(
        "subset-no-folder",
        "error",
        "a folder of images does not exist",
        'It stops with "not enough values to unpack" when it reads the images.',
        "Correct the path, or delete the subset.",
        _no_folder,
        f"{_DREAMBOOTH}.load_dreambooth_dir",
        _STOPPING,
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
        "folder-without-number",
        "warning",
        "a folder in train_data_dir has no number in front, or 0",
        "It ignores the folder. Only of one without a number, a line in its log says so.",
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
