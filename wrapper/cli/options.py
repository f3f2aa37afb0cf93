"""Options that several commands share, and the catalogue they look in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from wrapper.system import paths

Decorated = Callable[..., Any]

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def presets() -> Catalogue:
    """Return the catalogue as this user, in this folder, sees it."""
    return catalogue.standard(paths.user_presets(), here=Path.cwd())


def set_option(function: Decorated) -> Decorated:
    """Add --set."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="TABLE.KEY=VALUE",
        help="Change one setting; repeatable. VALUE is TOML, or `unset`.",
    )(function)


def ignore_option(function: Decorated) -> Decorated:
    """Add --ignore."""
    return click.option(
        "--ignore", multiple=True, metavar="CODE", help="Leave a rule out; repeatable."
    )(function)


def json_option(function: Decorated) -> Decorated:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")(
        function
    )


def force_option(function: Decorated) -> Decorated:
    """Add --force."""
    return click.option("--force", is_flag=True, help="Replace a file that is there.")(function)


def runs_option(function: Decorated) -> Decorated:
    """Add --runs."""
    return click.option(
        "--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Where runs go."
    )(function)
