"""The images and captions of a run: checked before it starts, and written down."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.dataset import checks
from kohya_presets.dataset import collection as collections
from kohya_presets.dataset.subsets import Subset
from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import plural
from kohya_presets.sdscripts import options
from kohya_presets.validate.report import Against
from wrapper.data import checking, sources
from wrapper.screen.talk import Talk
from wrapper.system import proc

FEW = 500  # images whose pixels are read too: some seconds, for what would stop after an hour


@dataclass(frozen=True)
class Data:
    """The images that a run trains with, as they were found."""

    collection: collections.Collection

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.collection.items)


def checked(
    preset: Preset, data: Path, talk: Talk, *, release: str, ignore: Collection[str] = ()
) -> Data:
    """Return the images of a run after all checks; warnings are told in a line each.

    `ignore` are codes of checks to leave out.

    Raises:
        ProblemsError: with everything at which sd-scripts would stop, or train without captions.
    """
    found = of(preset, data, release)
    few = sum(len(_images(subset)) for subset in found) <= FEW
    collection, _ = checking.collection(found, with_pixels=few, download=False)
    told = checks.found(collection, ignore=ignore)
    if wrong := [one.problem for one in told if one.check.severity == "error"]:
        raise ProblemsError(f"the images in {data}", wrong)
    warnings = [one.problem for one in told if one.check.severity == "warning"]
    for problem in warnings:
        talk.warn(str(problem))
    if warnings:
        command = proc.our_line("dataset", "check", preset.name, "--data", data)
        talk.say(f"{plural(len(warnings), 'warning')}; more: `{command}`")
    return Data(collection)


def of(preset: Preset, data: Path, release: str) -> tuple[Subset, ...]:
    """Return the subsets of a folder or a dataset config, as a preset trains them on a release."""
    return sources.of_data(preset, data, Against(options.nearest_release(release)))


def _images(subset: Subset) -> tuple[Path, ...]:
    try:
        return subset.images()
    except UserError:  # a check tells it
        return ()
