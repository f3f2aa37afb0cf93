"""`kohya-presets show`."""

from __future__ import annotations

import click

from kohya_presets.memory import estimate
from kohya_presets.presets import preset as preset_files
from wrapper.cli import checked
from wrapper.cli.options import json_option, preset_argument, print_json, set_option


@click.command("show")
@preset_argument()
@set_option
@click.option("--provenance", is_flag=True, help="Also print the reason for each value.")
@json_option
def command(preset: str, overrides: tuple[str, ...], provenance: bool, as_json: bool) -> None:
    """Print all settings of PRESET, with those it inherits.

    \b
    Example:
        kohya-presets show lion --provenance
    """
    found, settings = checked.preset(preset, overrides)
    needed = estimate.of(settings)
    if not as_json:
        click.echo(preset_files.to_toml(found, provenance=provenance), nl=False)
        if needed:
            click.echo(f"\n# {estimate.summary(needed, found.vram_gib)}")
        return
    tables = {"preset": preset_files.header(found), **found.tables}
    tables |= {"memory": needed.parts} if needed else {}
    if provenance:
        tables["provenance"] = found.provenance
    print_json(tables)
