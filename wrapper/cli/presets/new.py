"""`kohya-presets new`."""

from __future__ import annotations

import click

from wrapper.cli import checked
from wrapper.cli.options import presets, set_option
from wrapper.export import own_presets


@click.command("new")
@click.argument("name")
@click.option("--extends", "parent", required=True, metavar="PRESET", help="Preset to start from.")
@set_option
def command(name: str, parent: str, overrides: tuple[str, ...]) -> None:
    """Write a preset of your own, NAME, that differs from another in what --set says.

    \b
    Example:
        kohya-presets new gentle --extends skynet --set train.learning_rate=5e-7
    """
    click.echo(own_presets.new(name, parent, overrides, presets(), checked.additions()))
