"""Where the images, captions, masks and metadata files of a training lie in a pack.

sd-scripts reads a dataset config; what that names on this machine is named anew, as it is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kohya_presets import secrets
from kohya_presets.dataset import metadata
from kohya_presets.dataset.collection import Collection
from kohya_presets.dataset.subsets import Subset
from kohya_presets.problems import Place, Problem
from kohya_presets.renting import packed
from kohya_presets.toml import text as toml_text

OTHERS = "from"  # folders in that of a metadata file, for images from elsewhere


@dataclass
class Placed:
    """The files by their path in the pack; and the lines of the dataset config that change."""

    files: dict[str, Path | bytes] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)
    _taken: dict[Path, str] = field(default_factory=dict)

    def rewritten(self, dataset: str) -> str:
        """Return a dataset config that names files of this machine as the pack has them."""
        for old, new in self.lines.items():
            dataset = dataset.replace(f"\n{old}\n", f"\n{new}\n")
        return dataset

    def add(self, images: Collection, number: int, *, at_top: bool) -> None:
        """Add a subset; `at_top`: its images are all that there is, in the folder of the data."""
        subset = images.subsets[number]
        if subset.metadata is not None:
            self._add_metadata(subset, subset.metadata)
            return
        assert subset.folder is not None
        into = self._place("image_dir", subset.folder, packed.DATA if at_top else None)
        for item in images.of(number):
            self.files[f"{into}/{item.file.name}"] = item.file
            if item.caption:
                self.files[f"{into}/{item.caption.file.name}"] = item.caption.file
        if subset.kind == "masks" and subset.masks is not None:
            into = self._place("conditioning_data_dir", subset.masks)
            for item in images.of(number):
                if mask := images.masks.get(item.file):
                    self.files[f"{into}/{mask.file.name}"] = mask.file

    def _add_metadata(self, subset: Subset, listing: Path) -> None:
        """Add a metadata file, with keys that mean the images where they lie in the pack."""
        if subset.folder is not None:
            into = self._place("image_dir", subset.folder)
        else:
            into = self._free(listing.with_suffix(""))
        keys = dict(_keys(subset))
        for entry in subset.entries:
            if entry.image is not None:
                self.files[f"{into}/{_inside(subset, entry.image)}"] = entry.image
        there = self._place("metadata_file", listing)
        if subset.folder is None:
            old, new = _line("metadata_file", listing), _line("metadata_file", there)
            self.lines[old] = f"{_line('image_dir', into)}\n{new}"
        self.files[there] = metadata.renamed(listing, subset.release, keys).encode("utf-8")

    def _place(self, key: str, what: Path, into: str | None = None) -> str:
        """Return where a folder or file goes, and note that the dataset config names it so."""
        into = self._free(what, into)
        self.lines[_line(key, what)] = _line(key, into)
        return into

    def _free(self, what: Path, into: str | None = None) -> str:
        """Return a path with its name, which says its repeats; numbered where that is taken."""
        if what in self._taken:
            return self._taken[what]
        used = {path.casefold() for path in self._taken.values()}
        found, number = into or f"{packed.DATA}/{what.name}", 2
        while found.casefold() in used:
            found, number = f"{packed.DATA}/{what.stem}-{number}{what.suffix}", number + 1
        self._taken[what] = found
        return found


def of(images: Collection) -> Placed:
    """Return where all that is trained on lies in the pack; `problems` finds nothing wrong."""
    used = [n for n in range(len(images.subsets)) if n not in images.unused]
    alone = images.subsets[used[0]] if len(used) == 1 else None
    at_top = alone is not None and alone.kind == "folder" and alone.class_tokens is None
    placed = Placed()
    for number in used:
        placed.add(images, number, at_top=at_top)
    return placed


def problems(images: Collection) -> Iterator[Problem]:
    """Yield what another machine would read otherwise, and captions that look like a token."""
    for number, subset in enumerate(images.subsets):
        if why := images.unused.get(number):
            message = f"sd-scripts does not use {subset.name}: {why}"
            hint = "Take it out of the dataset config."
            yield Problem("pack-data", "error", subset.where, message, hint)
        elif subset.metadata is not None:
            yield from _of_metadata(images, subset, subset.metadata)
    masks = [mask.file for mask in images.masks.values()]
    for item in images.items:
        yield from _named(item.file, *([item.caption.file] if item.caption else []))
        if item.caption and secrets.holds(item.caption.text):
            yield _secret(Place(item.caption.file), "the caption")
    yield from _named(*masks)


def _of_metadata(images: Collection, subset: Subset, listing: Path) -> Iterator[Problem]:
    yield from _named(listing)
    if secrets.holds(listing.read_text(encoding="utf-8")):
        yield _secret(subset.where, f"the metadata file {listing.name}")
    others = {one.folder for one in images.subsets if one.metadata == listing}
    if len(others) > 1:
        message = f"{listing.name} is used with several folders of images"
        hint = "Make a copy of it for each folder."
        yield Problem("pack-data", "error", subset.where, message, hint)
    counts = Counter(key for _, key in _keys(subset))
    for key in (key for key, count in counts.items() if count > 1):
        message = f"{listing.name} names an image twice, or two that differ only by their ending"
        hint = f"Leave one of them out, or rename one: {key}."
        yield Problem("pack-data", "error", subset.where, message, hint)


def _keys(subset: Subset) -> Iterator[tuple[str, str]]:
    """Yield each key of a metadata file, and what it is in the pack."""
    for entry in subset.entries:
        if entry.image is not None:
            inside = _inside(subset, entry.image)
            yield entry.key, metadata.key(inside, subset.release)


def _inside(subset: Subset, image: Path) -> PurePosixPath:
    """Return where an image of a metadata file lies in the folder of its images."""
    if subset.folder is not None and image.is_relative_to(subset.folder):
        return PurePosixPath(image.relative_to(subset.folder).as_posix())
    others = sorted({one.image.parent for one in subset.entries if one.image is not None})
    return PurePosixPath(f"{OTHERS}-{1 + others.index(image.parent)}", image.name)


def _named(*files: Path) -> Iterator[Problem]:
    for file in files:
        if fault := packed.fault(file.name):
            yield Problem("pack-name", "error", Place(file), f"its name: {fault}", "Rename it.")


def _secret(where: Place, what: str) -> Problem:
    message = f"{what} looks as if it held a token or a password"
    return Problem("pack-secret", "error", where, message)


def _line(key: str, path: Path | str) -> str:
    whole = str(path.absolute()) if isinstance(path, Path) else path
    return f"{key} = {toml_text.value_text(whole)}"
