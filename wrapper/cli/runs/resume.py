"""`kohya-presets resume`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.ending import finish
from wrapper.cli.options import FOLDER
from wrapper.runs import manifest
from wrapper.screen.talk import Talk


@click.command("resume")
@click.argument("run", type=FOLDER)
def command(run: Path) -> None:
    """Go on with RUN at the first stage that is not done.

    A trainer that outlived us is followed to its end; finished stages are not repeated.

    \b
    Example:
        kohya-presets resume runs/korra
    """
    finish(manifest.read(run), Talk())
