"""The settings of one run, with defaults for those not given.

The rules of `validate` ask this. It knows the defaults of the release, and which training option
sd-scripts uses if the dataset file does not set a value.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kohya_presets.presets.preset import OWN, Preset, Table
from kohya_presets.problems import Place
from kohya_presets.sdscripts import options, releases
from kohya_presets.sdscripts.additions import NONE, Additions
from kohya_presets.sdscripts.options import Option
from kohya_presets.sdscripts.scripts import KNOWN, TOOLS, TRAINERS
from kohya_presets.training import trained
from kohya_presets.training.trained import Training

# A dataset's setting, and the training option that stands in for it under another name.
STAND_INS = {"batch_size": "train_batch_size", "num_repeats": "dataset_repeats"}
IMAGES = 20  # the fewest that the guide trains a concept with


def nowhere(table: str, key: str) -> Place:
    """Return a place with only the setting's name."""
    return Place(key=f"{table}.{key}" if table else key)


@dataclass(frozen=True)
class Settings:
    """The given settings by table, for one script of one release.

    `release` is one of `options.releases()`, `patches` are those of the checkout, `additions` says
    what these add, `images` is the number of training images. `kind` is "preset", or "config" for
    files that sd-scripts reads; for these `is_whole` may be false: one of the two files is missing,
    and its settings are unknown. `model_assumed`: the files do not tell which model is trained.
    `processes` is the number of GPUs that train together.
    """

    tables: Mapping[str, Table]
    script: str = "sdxl_train.py"
    release: str = releases.DEFAULT
    patches: tuple[str, ...] = ()
    additions: Additions = NONE
    place: Callable[[str, str], Place] = field(default=nowhere, compare=False)
    kind: str = "preset"
    is_whole: bool = True
    model_assumed: bool = False
    images: int = IMAGES
    processes: int = 1

    def known(self, table: str) -> Mapping[str, Option]:
        """Return the options that `table` may have, those of the patches among them."""
        return _known(table, self.script, self.release, self.patches, self.additions)

    def given(self, table: str, key: str) -> Any:
        """Return what is given; None where nothing is, or a value of the wrong type."""
        value = self.tables.get(table, {}).get(key)
        option = self.known(table).get(key)
        return None if value is None or option is None or options.check(option, value) else value

    def changed(self, table: str, key: str) -> Any:
        """Return what is given, if it differs from the default: else it is as if it were not."""
        value, option = self.given(table, key), self.known(table).get(key)
        return None if option is not None and value == option.default else value

    def is_malformed(self, table: str, key: str) -> bool:
        """Return whether the given value has the wrong type, or is not a choice."""
        return key in self.tables.get(table, {}) and self.given(table, key) is None

    def has(self, table: str) -> bool:
        """Return whether there is such a table: a preset without [resize] has no such stage."""
        return table in self.tables

    def train(self, key: str) -> Any:
        """Return the training option in effect: as given, else its default in this release.

        None where it is given and malformed, or this release has no such option.
        """
        return self._effective("train", key)

    def tool(self, table: str, key: str) -> Any:
        """Return the option of [extract] or [resize] in effect."""
        return self._effective(table, key)

    def dataset(self, key: str) -> Any:
        """Return the dataset's setting in effect, which a training option may stand in for.

        None if one of the two files is missing that may set it.
        """
        value = self.given("dataset", key)
        return self.train(STAND_INS.get(key, key)) if value is None and self.is_whole else value

    def where(self, key: str) -> tuple[str, str]:
        """Return the table and key under which the dataset's setting `key` was given."""
        if self.given("dataset", key) is None and self.given("train", STAND_INS.get(key, key)):
            return "train", STAND_INS.get(key, key)
        return "dataset", key

    def sides(self) -> tuple[int, int] | None:
        """Return width and height in pixels, or None where they are not known or malformed."""
        return sides(self.dataset("resolution"))

    @functools.cached_property
    def training(self) -> Training:
        """What is trained of the model, at which rates, by which optimizer."""
        return trained.of(self.script, self.train)

    @property
    def rank(self) -> int | None:
        """The rank that is extracted, or the first of several; None where it is not given."""
        dim = self.given("extract", "dim")
        return (dim[0] if dim else None) if isinstance(dim, list) else dim

    def steps(self) -> int:
        """Return about how many optimizer steps the training takes with `images` images."""
        epochs = self.train("max_train_epochs")
        if not epochs:
            return int(self.train("max_train_steps") or 0)
        batches = -(-self.images * (self.dataset("num_repeats") or 1) // (self._batch() or 1))
        together = (self.train("gradient_accumulation_steps") or 1) * self.processes
        return int(epochs * -(-batches // together))

    def _batch(self) -> int:
        return int(self.dataset("batch_size") or 1)

    def _effective(self, table: str, key: str) -> Any:
        value = self.given(table, key)
        option = self.known(table).get(key)
        if self.kind == "config" and table not in self.tables:
            return None  # that file is missing, and may set it
        if value is not None or option is None or key in self.tables.get(table, {}):
            return value  # None for a malformed value, which is reported elsewhere
        return False if option.type == "bool" and option.default is None else option.default


def sides(resolution: Any) -> tuple[int, int] | None:
    """Return width and height of a resolution as sd-scripts takes it: 1024, "1024,768" or a list.

    None where it is not one.
    """
    if isinstance(resolution, int):
        return resolution, resolution
    if isinstance(resolution, str):
        if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)?", resolution):
            return None
        resolution = [int(side) for side in resolution.split(",")]
    is_list = isinstance(resolution, list) and len(resolution) in (1, 2)
    return (resolution[0], resolution[-1]) if is_list else None


def of_preset(
    made: Preset,
    release: str,
    additions: Additions = NONE,
    *,
    carried: Sequence[str] = (),
    images: int = IMAGES,
    processes: int = 1,
) -> Settings:
    """Return the settings of a preset for one release, with its patches and those `carried`."""
    patches = tuple(dict.fromkeys((*carried, *made.patches)))
    return Settings(
        made.tables,
        made.script,
        release,
        patches,
        additions,
        made.place,
        images=images,
        processes=processes,
    )


@functools.cache
def _known(
    table: str, script: str, release: str, patches: tuple[str, ...], additions: Additions
) -> Mapping[str, Option]:
    if table == "dataset":
        return options.dataset(release)
    if table in OWN:
        return OWN[table]
    # An unknown script is reported on its own: its options are not.
    asked = [script] if script in KNOWN else list(TRAINERS)
    asked = [TOOLS[table]] if table in TOOLS else asked
    found = {name: known for one in asked for name, known in options.of(one, release).items()}
    return found | {n: o for one in asked for n, o in additions.options(one, patches).items()}
