"""The images and captions of a run: checked before it starts, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kohya_presets.dataset import caption, checks
from kohya_presets.dataset.collection import Collection
from kohya_presets.dataset.subsets import Subset
from kohya_presets.errors import ProblemsError
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import plural
from kohya_presets.sdscripts import options
from kohya_presets.validate.report import Against, Report
from wrapper.data import checking, gather, sources
from wrapper.screen.talk import Talk
from wrapper.system import proc

FEW = 500  # images whose pixels are read too: some seconds, for what would stop after an hour


def checked(
    preset: Preset, data: Path, talk: Talk, *, release: str, ignore: Sequence[str] = ()
) -> Collection:
    """Return the images of a run after all checks; warnings are told in a line each.

    `ignore` are codes of checks to leave out.

    Raises:
        ProblemsError: with everything at which sd-scripts would stop, or train without captions.
    """
    found = of(preset, data, release)
    few = sum(len(gather.listed(subset)) for subset in found) <= FEW
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
    return collection


def reports(found: Sequence[Report], against: Against, data: Path | None) -> list[Report]:
    """Return reports on presets and configs with what is wrong with their images, by headers alone.

    A preset has the images in `data`, a dataset config those of its folders that are here.

    Raises:
        UserError: `data` is no folder and no dataset config.
    """
    return [_with_images(report, against, data) for report in found]


def _with_images(report: Report, against: Against, data: Path | None) -> Report:
    subsets = sources.of_report(report) if report.datasets else ()
    if report.preset and data:
        subsets = sources.of_data(report.preset, data, against)
    elif not any(subset.folder and subset.folder.is_dir() for subset in subsets):
        return report
    collection, _ = checking.collection(subsets, with_pixels=False, download=False)
    told = checks.found(collection, ignore=against.ignore)
    return replace(report, problems=(*report.problems, *(one.problem for one in told)))


def of(preset: Preset, data: Path, release: str) -> tuple[Subset, ...]:
    """Return the subsets of a folder or a dataset config, as a preset trains them on a release."""
    return sources.of_data(preset, data, Against(options.nearest_release(release)))


def captions(subsets: Sequence[Subset]) -> dict[Path, str]:
    """Return the caption of each image that has one, as it is trained, in sd-scripts' order."""
    found: dict[Path, str] = {}
    for subset in subsets:
        told = {entry.image: entry.caption for entry in subset.entries}
        for image in subset.images:
            file = caption.find(image, subset.caption_extension)
            text = caption.of_bytes(file, file.read_bytes()).text if file else told.get(image)
            if text:
                found[image] = text
    return found
