"""Files of images: what sd-scripts does not read, or reads as another picture than you see.

It opens an image with Pillow and converts it to RGB (library/train_util.py, load_image;
library/utils.py from v0.11.0 on). What it takes for an image is decided by the name's ending
(IMAGE_EXTENSIONS, glob_images).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kohya_presets.dataset import caption
from kohya_presets.dataset.checks.check import Check, Finding, each
from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.dataset.picture import FORMATS, recognized
from kohya_presets.dataset.subsets import Subset
from kohya_presets.files import image_folder
from kohya_presets.sdscripts import options

_LOAD = "library/train_util.py, load_image"
_NAMES = "library/train_util.py, IMAGE_EXTENSIONS and glob_images"
_FOREIGN = frozenset({"HEIF", "JXL", "SVG"})  # formats that the trainer's Pillow does not read
_EXTRA = {".avif": "pillow-avif-plugin", ".jxl": "pillow-jxl-plugin"}  # read where installed


def _is_broken(item: Item) -> bool:
    header = item.header
    return (bool(header.fault) and not header.unsupported) or header.format in _FOREIGN


def _is_deep(item: Item) -> bool:
    return item.header.mode.startswith(("I", "F"))


def _has_alpha(item: Item) -> bool:
    return item.header.transparent and (item.pixels is None or item.pixels.transparent > 0)


def _unread(collection: Collection) -> Iterator[Finding]:
    for number, files in collection.beside.items():
        extension = collection.subsets[number].caption_extension
        images = [f for f in files if _is_other_image(f)]
        captioned = tuple(f for f in images if caption.candidates(f, extension)[0].is_file())
        for found, what in (
            (captioned, "with a caption, but sd-scripts does not read such files"),
            (tuple(f for f in images if f not in captioned), "that sd-scripts does not read"),
        ):
            if found:
                yield Finding(what, found, hint=_how(found))


def _how(files: tuple[Path, ...]) -> str | None:
    endings = {file.suffix.lower() for file in files}
    if len(endings) == 1 and (package := _EXTRA.get(*endings)):
        return (
            f"Convert them to PNG, or install {package} where sd-scripts runs: then it reads them."
        )
    return None


def _is_other_image(file: Path) -> bool:
    """Return whether a file beside the images has the ending of one, of another kind than they.

    What has no ending at all is opened.
    """
    suffix = file.suffix.lower()
    if suffix or file.name.startswith("."):
        return suffix in FORMATS and suffix not in image_folder.SUFFIXES
    try:
        with file.open("rb") as opened:
            return recognized(opened.read(32)) is not None
    except OSError:
        return False


def _miswritten(collection: Collection) -> Iterator[Finding]:
    for files in collection.beside.values():
        if found := tuple(f for f in files if _is_miswritten(f)):
            yield Finding("whose ending has both capitals and small letters", found)


def _is_miswritten(file: Path) -> bool:
    suffix = file.suffix
    return suffix.lower() in image_folder.SUFFIXES and suffix not in (
        suffix.lower(),
        suffix.upper(),
    )


def _hidden(collection: Collection) -> Iterator[Finding]:
    for files in collection.beside.values():
        # macOS writes ._NAME beside NAME on disks of other systems: nobody misses it.
        found = (f for f in files if f.name.startswith(".") and not f.name.startswith("._"))
        if images := tuple(f for f in found if f.suffix.lower() in image_folder.SUFFIXES):
            yield Finding("whose name begins with a dot", images)


def _nowhere(collection: Collection) -> Iterator[Finding]:
    for number, files in collection.beside.items():
        if collection.subsets[number].kind == "metadata":
            continue
        if found := tuple(f for f in files if image_folder.is_named_so(f) and not f.is_file()):
            yield Finding("that is a folder, or a link to nothing", found)


def _same_name(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        if collection.subset(items[0]).kind == "metadata":
            continue
        several = Counter(item.file.with_suffix("") for item in items)
        if same := tuple(i.file for i in items if several[i.file.with_suffix("")] > 1):
            yield Finding("with the name of another one but for the ending", same)


def _same_latents(collection: Collection) -> Iterator[Finding]:
    by_size = options.is_in(collection.release, ">=0.10.0")
    for items in collection.by_subset():
        if collection.subset(items[0]).settings.train("cache_latents_to_disk"):
            files = [(i.file.with_suffix(""), i.header.size if by_size else None) for i in items]
            several = Counter(files)
            if same := tuple(i.file for i, f in zip(items, files, strict=True) if several[f] > 1):
                yield Finding("that share one file of latents", same)


def _masked(subset: Subset) -> bool:
    return subset.has("alpha_mask") or bool(subset.settings.tables["dataset"].get("alpha_mask"))


CHECKS = (
    Check(
        "image-broken",
        "error",
        "an image cannot be opened",
        "It stops: when it reads the sizes, or when it comes to the image.",
        "Replace the file, or move it out of the folder.",
        each(_is_broken, "that cannot be read"),
        f"{_LOAD}; BaseDataset.get_image_size",
    ),
    Check(
        "image-nowhere",
        "error",
        "a folder, or a link to nothing, has the name of an image",
        "It takes it for an image, and stops when it reads the sizes.",
        "Rename it, or move it out of the folder.",
        _nowhere,
        _NAMES,
        noun="name",
    ),
    Check(
        "image-truncated",
        "error",
        "the end of an image is missing",
        "It reads the size only. It stops when it comes to the image, maybe after hours.",
        "Replace the file, or move it out of the folder.",
        each(
            lambda item: (
                item.pixels is not None and bool(item.pixels.fault) and not item.header.fault
            ),
            "whose pixels cannot all be read",
        ),
        _LOAD,
    ),
    Check(
        "image-not-read",
        "warning",
        "a file of an image has an ending that sd-scripts does not read",
        "It does not see the file, and says nothing.",
        "Convert them to PNG or JPEG, or give the right ending to a file that has none.",
        _unread,
        _NAMES,
    ),
    Check(
        "image-ending",
        "warning",
        "an ending in mixed case, such as .Jpg",
        "It does not see the file, and says nothing; on Windows it does.",
        "Rename them: .jpg or .JPG.",
        _miswritten,
        _NAMES,
    ),
    Check(
        "image-hidden",
        "warning",
        "the name of an image begins with a dot",
        "It does not see the file, and says nothing.",
        "Rename them.",
        _hidden,
        _NAMES,
    ),
    Check(
        "image-same-name",
        "note",
        "images have the same name, but for the ending",
        "It trains each of them, with the same caption.",
        "Rename one, and its caption.",
        _same_name,
        "library/train_util.py, DreamBoothDataset: read_caption",
    ),
    Check(
        "image-same-latents",
        "warning",
        "images of one name would have one file of latents on disk",
        "cache_latents_to_disk names the file after the image without its ending (and its size, "
        "from v0.10.0 on): it trains one picture in place of the other.",
        "Rename one, and its caption.",
        _same_latents,
        "library/train_util.py, BaseDataset.cache_latents; library/strategy_sd.py, "
        "SdSdxlLatentsCachingStrategy.get_latents_npz_path, from v0.10.0 on",
    ),
    Check(
        "image-turned",
        "warning",
        "only EXIF tells how the image is turned",
        "It ignores EXIF, and trains the pixels as they are stored: lying, or upside down.",
        "Turn them for good, with a program that rewrites the pixels.",
        each(lambda item: item.header.orientation > 1, "that only EXIF turns upright"),
        _LOAD,
    ),
    Check(
        "image-deep",
        "warning",
        "a grey image of 16 or 32 bits",
        "Converted to 8 bits, every value above 255 becomes 255: most of the image is white.",
        "Convert them to 8 bits, scaled.",
        each(_is_deep, "of 16 or 32 bits"),
        _LOAD,
    ),
    Check(
        "image-transparent",
        "warning",
        "an image is transparent in parts",
        "It drops the transparency, and trains the colours below: often black, white or rubbish.",
        "Put them on a background that you choose.",
        each(_has_alpha, "with transparent parts", where=lambda subset: not _masked(subset)),
        _LOAD,
    ),
    Check(
        "image-opaque",
        "note",
        "alpha_mask is on, and an image has no transparency",
        "All of the image counts for the loss.",
        "",
        each(
            lambda item: not _has_alpha(item),
            "without transparency, though alpha_mask is on",
            where=_masked,
        ),
        "library/train_util.py, BaseDataset.__getitem__",
        ">=0.9.0",
    ),
    Check(
        "image-animated",
        "warning",
        "an image has several frames",
        "It trains the first frame.",
        "Save the frame that you want as an image of its own.",
        each(lambda item: item.header.animated, "with several frames"),
        _LOAD,
    ),
    Check(
        "image-cmyk",
        "warning",
        "an image in the colours of a printer (CMYK)",
        "It converts them without a profile: colours become harsh.",
        "Convert them to sRGB with an image editor.",
        each(lambda item: item.header.cmyk, "in CMYK"),
        _LOAD,
    ),
    Check(
        "image-profile",
        "warning",
        "an image has a colour profile that is not sRGB",
        "It ignores profiles and trains the numbers as they are: colours get paler or stronger.",
        "Convert them to sRGB.",
        each(
            lambda item: not item.header.icc_srgb and not item.header.cmyk,
            "with a colour profile that is not sRGB",
        ),
        _LOAD,
    ),
    Check(
        "image-misnamed",
        "note",
        "an image has the ending of another format",
        "It reads the content, so it trains the image as any other.",
        "Rename them, for other programs.",
        each(lambda item: item.header.misnamed, "whose ending tells another format"),
        _LOAD,
    ),
)
