"""Options that several commands share, and the catalogue they look in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import KEEP
from wrapper.system import paths
from wrapper.system.paths import NOTIFY_VARIABLE

JSON_FORMAT = 1
Decorated = Callable[..., Any]

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
DATA = click.Path(path_type=Path)  # a folder of images, or a dataset config


def presets() -> Catalogue:
    """Return the catalogue as this user, in this folder, sees it."""
    return catalogue.standard(paths.user_presets(), here=Path.cwd())


def preset_argument(name: str = "preset") -> Callable[[Decorated], Decorated]:
    """Add a preset's name as an argument; a shell completes it."""
    return click.argument(name, shell_complete=preset_names)


def preset_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the presets whose names begin so."""
    return [CompletionItem(name) for name in presets().names() if name.startswith(begun)]


def presets_and_files(
    context: click.Context, argument: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return the same, and let the shell complete files too."""
    return [CompletionItem(begun, type="file"), *preset_names(context, argument, begun)]


def keep_option(function: Decorated) -> Decorated:
    """Add --keep."""
    return click.option(
        "--keep",
        type=click.Choice(KEEP),
        help="What stays of models saved on the way: all of each, or only its LoRA.",
    )(function)


def notify_option(function: Decorated) -> Decorated:
    """Add --notify."""
    return click.option(
        "--notify",
        metavar="URL",
        help=f"Tell a webhook (ntfy, Discord, Slack) how the run goes.  [env: {NOTIFY_VARIABLE}]",
    )(function)


def rate_option(function: Decorated) -> Decorated:
    """Add --rate."""
    return click.option(
        "--rate",
        type=click.FloatRange(min=0),
        metavar="MONEY",
        help="What the machine costs in an hour, to show what the run costs.",
    )(function)


def oom_option(function: Decorated) -> Decorated:
    """Add --oom."""
    return click.option(
        "--oom",
        type=click.Choice(("stop", "retry")),
        default="stop",
        help="If GPU memory runs out: stop, or retry with the smallest change that saves some.",
    )(function)


def samples_option(function: Decorated) -> Decorated:
    """Add --samples."""
    return click.option(
        "--samples",
        metavar="FILE|auto",
        help="Make sample pictures while training, from a file of prompts or from the captions.",
    )(function)


def set_option(function: Decorated) -> Decorated:
    """Add --set."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="TABLE.KEY=VALUE",
        help="Change one setting (repeatable). VALUE is TOML; `unset` removes the setting.",
    )(function)


def ignore_option(function: Decorated) -> Decorated:
    """Add --ignore."""
    return click.option(
        "--ignore", multiple=True, metavar="CODE", help="Ignore a rule by its code (repeatable)."
    )(function)


def print_json(values: Mapping[str, Any]) -> None:
    """Print a table as JSON, after the number of the format that docs/json.md describes."""
    import json  # 1 ms that no other output needs to wait for

    click.echo(json.dumps({"format": JSON_FORMAT, **values}, indent=2, default=str))


def json_option(function: Decorated) -> Decorated:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )


def force_option(function: Decorated) -> Decorated:
    """Add --force."""
    return click.option("--force", is_flag=True, help="Overwrite existing files.")(function)


def runs_option(function: Decorated) -> Decorated:
    """Add --runs."""
    return click.option(
        "--runs",
        type=FOLDER,
        default=Path("runs"),
        show_default=True,
        help="Folder that holds the runs.",
    )(function)
