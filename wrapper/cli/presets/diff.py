"""`kohya-presets diff`."""

from __future__ import annotations

import click

from kohya_presets.presets import compare
from wrapper.cli.options import preset_argument, presets


@click.command("diff")
@preset_argument("old")
@preset_argument("new")
def command(old: str, new: str) -> None:
    """Compare preset OLD with preset NEW, setting by setting.

    \b
    Example:
        kohya-presets diff skynet a6000
    """
    found = presets()
    for difference in compare.presets(found.load(old), found.load(new)):
        click.echo(str(difference))
