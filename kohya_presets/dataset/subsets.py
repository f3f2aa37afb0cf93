"""The subsets of a dataset as sd-scripts of a release reads them: which images, how often.

library/config_util.py: BlueprintGenerator and generate_dreambooth_subsets_config_by_subdirs;
library/train_util.py: DreamBoothDataset, FineTuningDataset, ControlNetDataset.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kohya_presets.dataset import metadata
from kohya_presets.dataset.metadata import Entry
from kohya_presets.errors import UserError
from kohya_presets.files import image_folder
from kohya_presets.problems import Place
from kohya_presets.sdscripts.scripts import CONTROL_NET, KNOWN
from kohya_presets.training.settings import Settings
from kohya_presets.validate.subset_kinds import MASKS, METADATA

# Captions beside the images, in a metadata file, or beside images that have masks.
Kind = Literal["folder", "metadata", "masks"]
NOWHERE = Place()
_NUMBERED = re.compile(r"(-?\d+)(?:_(.*))?$", re.DOTALL)


@dataclass(frozen=True)
class Subset:
    """One subset: its images come from `folder`, or from the file `metadata`.

    `dataset` is the number of its [[datasets]]: images of one are sorted into buckets together.
    """

    settings: Settings
    folder: Path | None
    kind: Kind = "folder"
    dataset: int = 0
    repeats: int = 1
    is_reg: bool = False
    class_tokens: str | None = None
    metadata: Path | None = None
    masks: Path | None = None
    where: Place = NOWHERE

    @property
    def name(self) -> str:
        """The folder or file as a person knows it."""
        return str(self.metadata or self.folder)

    @property
    def release(self) -> str:
        """The release of sd-scripts that reads it."""
        return self.settings.release

    def has(self, key: str) -> bool:
        """Return whether a setting of the subset is on."""
        return bool(self.get(key))

    def get(self, key: str) -> Any:
        """Return a dataset's setting in effect; asked for each of thousands of images."""
        if key not in self._asked:
            self._asked[key] = self.settings.dataset(key)
        return self._asked[key]

    @property
    def caption_extension(self) -> str:
        """How the names of caption files end, sd-scripts' own default where nothing says it."""
        return str(self.get("caption_extension") or ".caption")

    @functools.cached_property
    def _asked(self) -> dict[str, Any]:
        return {}

    @functools.cached_property
    def images(self) -> tuple[Path, ...]:
        """The images that sd-scripts finds, sorted as it sorts them; looked for once.

        Raises:
            UserError: there is a metadata file that sd-scripts cannot read.
        """
        if self.metadata:
            return tuple(entry.image for entry in self.entries if entry.image)
        return image_folder.images(self.folder) if self.folder and self.folder.is_dir() else ()

    @functools.cached_property
    def entries(self) -> tuple[Entry, ...]:
        """What the metadata file says, read once; nothing if there is none.

        Raises:
            UserError: sd-scripts cannot read it.
        """
        if not self.metadata:
            return ()
        separator = str(self.get("caption_separator") or ",")
        return metadata.read(
            self.metadata,
            self.folder,
            self.release,
            separator=separator,
            wildcard=self.has("enable_wildcard"),
        )


def of_folder(settings: Settings, folder: Path) -> tuple[Subset, ...]:
    """Return the subsets of a folder: itself, or its folders named like `10_name`.

    A folder with images is one itself. The numbered ones are what `train_data_dir` reads.
    """
    if is_around(folder):
        return tuple(_numbered(folder, settings))
    repeats = int(settings.dataset("num_repeats") or 1)
    return (Subset(settings, folder, repeats=repeats, where=Place(folder)),)


def of_settings(found: Sequence[Settings], datasets: Sequence[int], near: Path) -> list[Subset]:
    """Return the subsets of a training: `found` has the settings of each, `near` is its config.

    Without a dataset config these are the folders in `train_data_dir` and `reg_data_dir`, or the
    images of `in_json`.
    """
    if not datasets:
        return [subset for one in found for subset in _of_training(one, near)]
    numbered = [*zip(found, datasets, strict=True)]
    kinds = {n: _kind([s for s, number in numbered if number == n]) for n in set(datasets)}
    return [_of_table(s, number, kinds[number], near) for s, number in numbered]


def unused(subsets: Iterable[Subset]) -> dict[int, str]:
    """Return why sd-scripts leaves a subset out, by its number in `subsets`."""
    why: dict[int, str] = {}
    seen: dict[tuple[int, Any], int] = {}
    for number, subset in enumerate(subsets):
        what = (subset.dataset, subset.metadata or subset.folder)
        if subset.repeats < 1:
            why[number] = f"num_repeats is {subset.repeats}"
        elif what in seen:
            why[number] = "the dataset has this folder twice; the first one counts"
        elif not subset.metadata and not (subset.folder and subset.folder.is_dir()):
            why[number] = "there is no such folder"
        elif _is_empty(subset):
            why[number] = "there is no image in it"
        else:
            seen[what] = number
    return why


def _is_empty(subset: Subset) -> bool:
    try:
        return not subset.images
    except UserError:  # of a metadata file, at which sd-scripts stops
        return False


def is_around(folder: Path) -> bool:
    """Return whether a folder has no images itself, but is around folders named like `10_name`."""
    return any(numbered(folder)) and not image_folder.images(folder)


def numbered(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the folders named like `10_name`: path, repeats, and the name."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    for name in names:
        named = _NUMBERED.fullmatch(name)
        if named and int(named[1]) > 0:
            yield folder / name, int(named[1]), named[2] or ""


def _numbered(folder: Path, settings: Settings, *, reg: bool = False) -> Iterator[Subset]:
    for inside, repeats, tokens in numbered(folder):
        where = Place(inside)
        yield Subset(settings, inside, "folder", 0, repeats, reg, tokens, where=where)


def _of_training(settings: Settings, near: Path) -> Iterator[Subset]:
    """Yield the subsets that a training config without a dataset config has."""
    folder = _path(settings.train("train_data_dir"), near)
    where = settings.place("train", "train_data_dir")
    if listing := _path(settings.train("in_json"), near):
        repeats = int(settings.dataset("num_repeats") or 1)
        yield Subset(settings, folder, "metadata", 0, repeats, metadata=listing, where=where)
    elif settings.script in KNOWN and KNOWN[settings.script].makes == CONTROL_NET:
        masks = _path(settings.train(MASKS), near)
        yield Subset(settings, folder, "masks", masks=masks, where=where)
    else:
        for key, is_reg in (("train_data_dir", False), ("reg_data_dir", True)):
            if around := _path(settings.train(key), near):
                yield from _numbered(around, settings, reg=is_reg)


def _kind(dataset: Sequence[Settings]) -> Kind:
    """Return the kind that all subsets of a dataset have; mixed ones stop sd-scripts elsewhere."""
    tables = [settings.tables.get("dataset", {}) for settings in dataset]
    if all(MASKS in table for table in tables):
        return "masks"
    return "metadata" if all(METADATA in table for table in tables) else "folder"


def _of_table(settings: Settings, number: int, kind: Kind, near: Path) -> Subset:
    table = settings.tables.get("dataset", {})
    return Subset(
        settings,
        _path(table.get("image_dir"), near),
        kind,
        number,
        _whole(settings.dataset("num_repeats")),
        bool(table.get("is_reg")) and kind == "folder",
        table.get("class_tokens") if isinstance(table.get("class_tokens"), str) else None,
        _path(table.get(METADATA), near) if kind == "metadata" else None,
        _path(table.get(MASKS), near) if kind == "masks" else None,
        settings.place("dataset", METADATA if kind == "metadata" else "image_dir"),
    )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 1


def path(value: str, near: Path) -> Path:
    """Return a path as sd-scripts would find it, started here or in the folder of `near`."""
    here, beside = Path(value).expanduser(), near.parent / value
    return beside if not here.exists() and beside.exists() else here


def _path(value: Any, near: Path) -> Path | None:
    return path(value, near) if isinstance(value, str) and value else None
