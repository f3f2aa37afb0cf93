"""`kohya-presets list`."""

from __future__ import annotations

import click

from kohya_presets.errors import ProblemsError
from wrapper.cli.options import json_option, presets, print_json


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
            head = found.head(name)
        except ProblemsError as error:
            broken.append((name, error))
            continue
        rows.append({"name": name, "vram_gib": head.get("vram_gib"), "summary": head["summary"]})
    if as_json:
        print_json({"presets": rows})
    else:
        wide = max((len(str(row["name"])) for row in rows), default=0)
        for row in rows:
            memory = f"{row['vram_gib']:g} GB" if row["vram_gib"] else ""
            click.echo(f"{row['name']:<{wide}}  {memory:>5}  {row['summary']}")
    for name, fault in broken:
        click.echo(f"warning: {fault}. See `kohya-presets validate {name}`.", err=True)
