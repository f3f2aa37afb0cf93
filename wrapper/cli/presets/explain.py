"""`kohya-presets explain`."""

from __future__ import annotations

import click

from kohya_presets.explain import lookup, shown
from wrapper.cli import checked
from wrapper.cli.options import json_option, presets, print_json


# An option of sd-scripts may be typed as sd-scripts takes it: --clip-skip.
@click.command("explain", context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="OPTION|PRESET")
@json_option
def command(name: str, as_json: bool) -> None:
    """Say what an option does, what was found with it and which preset sets it to what.

    Of a preset, say why each of its values is what it is. An option may be called as sd-scripts
    calls it or as the Kohya GUI does.

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
