"""`kohya-presets new`."""

from __future__ import annotations

import click

from wrapper.cli import checked
from wrapper.cli.options import preset_names, presets, set_option
from wrapper.export import own_presets


@click.command("new")
@click.argument("name")
@click.option(
    "--extends",
    "parent",
    required=True,
    metavar="PRESET",
    help="Preset to start from.",
    shell_complete=preset_names,
)
@set_option
def command(name: str, parent: str, overrides: tuple[str, ...]) -> None:
    """Create a preset from another one, with the changes of --set.

    The preset is saved as NAME in your preset folder. The command prints its file.

    \b
    Example:
        kohya-presets new gentle --extends skynet --set train.learning_rate=5e-7
    """
    click.echo(own_presets.new(name, parent, overrides, presets(), checked.additions()))
