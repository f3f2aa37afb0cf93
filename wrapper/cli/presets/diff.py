"""`kohya-presets diff`."""

from __future__ import annotations

import click

from kohya_presets.presets import compare
from wrapper.cli.options import presets


@click.command("diff")
@click.argument("old")
@click.argument("new")
def command(old: str, new: str) -> None:
    """Print what differs from preset OLD to preset NEW, setting by setting.

    \b
    Example:
        kohya-presets diff skynet a6000
    """
    found = presets()
    for difference in compare.presets(found.load(old), found.load(new)):
        click.echo(str(difference))
