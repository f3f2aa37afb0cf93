"""`kohya-presets validate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kohya_presets.errors import PresetError
from kohya_presets.sdscripts import scripts
from wrapper.cli.options import (
    DATA,
    ignore_option,
    json_option,
    presets,
    presets_and_files,
    print_json,
    set_option,
)
from wrapper.cli.trainer_options import checkout_option, release_option
from wrapper.planning import subjects


@click.command("validate")
@click.argument(
    "names",
    metavar="PRESET|FILE...",
    nargs=-1,
    required=True,
    shell_complete=presets_and_files,
)
@release_option
@checkout_option
@set_option
@ignore_option
@click.option(
    "--data", type=DATA, metavar="DIR|FILE", help="Check these images and captions with PRESET too."
)
@click.option(
    "--images", type=click.IntRange(min=1), metavar="NUMBER", help="Number of training images."
)
@click.option("--advice", is_flag=True, help="Show the advice of the guide and of other users.")
@click.option(
    "--script",
    type=click.Choice(tuple(scripts.KNOWN)),
    metavar="NAME",
    help="The script that a training config is for, if it is not the one recognized.",
)
@json_option
def command(
    names: tuple[str, ...],
    release: str,
    checkout: Path | None,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    data: Path | None,
    images: int | None,
    advice: bool,
    script: str | None,
    as_json: bool,
) -> None:
    """Check presets, or sd-scripts' own TOML files, before you pay for a GPU.

    An error: sd-scripts stops, or it trains with another value than you meant without a word, as
    with a misspelled option. A warning: a setting has no effect, or another one than it says.
    Advice is what the guide and other users would do. If there are errors, the exit code is 3.

    A training config and its dataset config are checked as one, with the images that they name, if
    these are here.

    \b
    Example:
        kohya-presets validate skynet --release v0.9.1
        kohya-presets validate config.toml dataset.toml --checkout ~/kohya_ss
    """
    against = subjects.against(release, checkout, ignore=ignore, images=images)
    reports = subjects.every(names, presets(), against, overrides, script)
    if data or any(report.datasets for report in reports):
        from wrapper.data import of_run  # Pillow, for those who have images here

        reports = of_run.reports(reports, against, data)
    if as_json:
        print_json({"reports": [subjects.values(report) for report in reports]})
    else:
        click.echo("\n\n".join(subjects.text(report, advice=advice) for report in reports))
    if any(report.has_errors for report in reports):
        sys.exit(PresetError.exit_code)
