"""`kohya-presets list`."""

from __future__ import annotations

import json

import click

from kohya_presets.errors import ProblemsError
from wrapper.cli.shared import json_option, presets


@click.command("list")
@json_option
def command(as_json: bool) -> None:
    """List the presets: the shipped ones, then your own.

    \b
    Example:
        kohya-presets list
    """
    found = presets()
    rows, broken = [], []
    for name in found.names():
        try:
            preset = found.load(name)
        except ProblemsError as error:
            broken.append(error)
            continue
        rows.append({"name": name, "vram_gib": preset.vram_gib, "summary": preset.summary})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        wide = max((len(str(row["name"])) for row in rows), default=0)
        for row in rows:
            memory = f"{row['vram_gib']:g} GB" if row["vram_gib"] else ""
            click.echo(f"{row['name']:<{wide}}  {memory:>5}  {row['summary']}")
    for fault in broken:
        click.echo(f"warning: {fault}; see `kohya-presets show`", err=True)
