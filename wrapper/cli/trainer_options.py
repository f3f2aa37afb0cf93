"""Options that say which sd-scripts a command uses, and in which Python."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from kohya_presets.sdscripts import releases
from wrapper.cli.options import FOLDER, Decorated


def site_options(function: Decorated) -> Decorated:
    """Add --release, --checkout and --python."""
    python = click.option(
        "--python",
        metavar="EXE",
        help="Python for sd-scripts.  [default: created if missing]",
    )
    return release_option(checkout_option(python(function)))


def release_option(function: Decorated) -> Decorated:
    """Add --release."""
    return click.option(
        "--release",
        default=releases.DEFAULT,
        show_default=True,
        metavar="TAG|COMMIT",
        help="Release of sd-scripts to use.",
        is_eager=True,  # before --checkout, which looks whether it is given
    )(function)


def checkout_option(function: Decorated) -> Decorated:
    """Add --checkout."""
    help_ = "Folder of sd-scripts or a Kohya GUI to use instead."
    return click.option("--checkout", type=FOLDER, help=help_, callback=_alone)(function)


def _alone(context: click.Context, _: click.Parameter, folder: Path | None) -> Path | None:
    if folder and context.get_parameter_source("release") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--checkout already sets the release. Leave out --release.")
    return folder
