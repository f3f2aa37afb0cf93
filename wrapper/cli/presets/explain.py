"""`kohya-presets explain`."""

from __future__ import annotations

import click

from kohya_presets.explain import lookup, shown
from wrapper.cli import checked
from wrapper.cli.options import json_option, preset_names, presets, print_json


# An option of sd-scripts may be typed as sd-scripts takes it: --clip-skip.
@click.command("explain", context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="OPTION|PRESET", shell_complete=preset_names)
@json_option
def command(name: str, as_json: bool) -> None:
    """Explain an option: what it does, the guide's advice, and each preset's value.

    For a preset, the command gives the reason for each of its values. You can write an option as
    sd-scripts names it or as the Kohya GUI labels it.

    \b
    Example:
        kohya-presets explain min_snr_gamma
        kohya-presets explain extract.dim
        kohya-presets explain "Max train epoch"
        kohya-presets explain skynet
    """
    found = lookup.named(name, presets(), checked.additions())
    if as_json:
        print_json(shown.values(found))
    else:
        click.echo(shown.text(found), nl=False)
