"""`kohya-presets dataset`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from kohya_presets.dataset.subsets import Subset
from kohya_presets.errors import PresetError
from wrapper.cli.group import Group
from wrapper.cli.options import (
    FILE,
    Decorated,
    force_option,
    json_option,
    presets,
    presets_and_files,
    print_json,
    set_option,
)
from wrapper.cli.trainer_options import checkout_option, release_option
from wrapper.planning import subjects

# What needs Pillow, numpy and tables of letters is imported where it is used: the list of all
# commands imports this module.


@click.group("dataset", cls=Group)
def command() -> None:
    """Check images and captions before you pay for a GPU."""


def _of_a_dataset(function: Decorated) -> Decorated:
    """Add what says which dataset is looked at, and how it is trained."""
    options = (
        click.argument(
            "names",
            metavar="DIR...|FILE...|PRESET",
            nargs=-1,
            required=True,
            shell_complete=presets_and_files,
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            metavar="DIR|FILE",
            help="With a preset: the folder of images, or a dataset config.",
        ),
        click.option("--trigger", metavar="TOKEN", help="The word that is to call the concept."),
        release_option,
        checkout_option,
        set_option,
        click.option(
            "--ignore",
            multiple=True,
            metavar="CODE",
            help="Ignore a check by its code (repeatable).",
        ),
    )
    return functools.reduce(lambda made, option: option(made), reversed(options), function)


def _subsets(
    names: Sequence[str],
    data: Path | None,
    release: str,
    checkout: Path | None,
    overrides: Sequence[str],
) -> tuple[Subset, ...]:
    from wrapper.data import sources

    against = subjects.against(release, checkout)
    return sources.subsets(names, presets(), against, data=data, overrides=overrides)


@command.command("check")
@_of_a_dataset
@click.option("--advice", is_flag=True, help="Show the advice of the guide in full.")
@click.option("--headers-only", is_flag=True, help="Do not decode images: find no duplicates.")
@click.option(
    "--gpus", type=click.IntRange(min=1), default=1, metavar="NUMBER", help="GPUs that train."
)
@click.option(
    "--pace", type=click.FloatRange(min=0, min_open=True), help="Steps per second, to tell hours."
)
@click.option("--rate", type=click.FloatRange(min=0), metavar="MONEY", help="Cost of an hour.")
@json_option
def check(
    names: tuple[str, ...],
    data: Path | None,
    trigger: str | None,
    release: str,
    checkout: Path | None,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    advice: bool,
    headers_only: bool,
    gpus: int,
    pace: float | None,
    rate: float | None,
    as_json: bool,
) -> None:
    """Tell what sd-scripts makes of images and captions: what it skips, cuts off, or stops at.

    A folder alone is judged as the preset skynet trains it. Nothing is changed.

    \b
    Example:
        kohya-presets dataset check ~/pictures/korra --trigger korra
        kohya-presets dataset check dataset.toml
        kohya-presets dataset check lion --data ~/pictures/korra
    """
    from kohya_presets.dataset import checks, told
    from wrapper.data import checking
    from wrapper.screen.counting import Counting

    checks.require(ignore)
    subsets = _subsets(names, data, release, checkout, overrides)
    with Counting() as counting:
        collection, notes = checking.collection(
            subsets, trigger=trigger, with_pixels=not headers_only, on_progress=counting.tell
        )
    found = checks.found(collection, ignore=ignore)
    if as_json:
        print_json({**told.values(collection, found, processes=gpus), "not_checked": notes})
    else:
        click.echo(
            told.text(collection, found, advice=advice, processes=gpus, pace=pace, rate=rate)
        )
        for note in notes:
            click.echo(f"  not checked: {note}")
    if any(one.check.severity == "error" for one in found):
        sys.exit(PresetError.exit_code)


@command.command("page")
@_of_a_dataset
@click.option(
    "--out", type=FILE, required=True, metavar="FILE.html", help="The page. Further ones: FILE-2."
)
@force_option
def page(
    names: tuple[str, ...],
    data: Path | None,
    trigger: str | None,
    release: str,
    checkout: Path | None,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    out: Path,
    force: bool,
) -> None:
    """Write a page of all images as they are trained, with captions and what `check` finds.

    The page works in any browser without a network, and can be printed. More than 1000 images make
    several pages. No image and no caption is changed.

    \b
    Example:
        kohya-presets dataset page ~/pictures/korra --out korra.html
        kohya-presets dataset page lion --data ~/pictures/korra --out korra.html
    """
    from kohya_presets.dataset import checks
    from wrapper.data import checking
    from wrapper.data.page import writing
    from wrapper.screen.counting import Counting

    checks.require(ignore)
    writing.require(out, force=force)
    subsets = _subsets(names, data, release, checkout, overrides)
    with Counting() as counting:
        collection, notes = checking.collection(subsets, trigger=trigger, on_progress=counting.tell)
        found = checks.found(collection, ignore=ignore)
        files = writing.write(
            collection, found, out, notes=notes, force=force, on_progress=counting.tell
        )
    for file in files:
        click.echo(file)
