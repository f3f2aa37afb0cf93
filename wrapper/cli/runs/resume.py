"""`kohya-presets resume`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.ending import exit_if_standin, finish
from wrapper.cli.options import FOLDER
from wrapper.runs import manifest
from wrapper.screen.talk import Talk


@click.command("resume")
@click.argument("run", type=FOLDER)
def command(run: Path) -> None:
    """Continue RUN at the first stage that is not done.

    RUN is the folder of the run. Finished stages are not repeated. If the trainer is still running,
    the command attaches to it.

    \b
    Example:
        kohya-presets resume runs/korra
    """
    found, talk = manifest.read(run), Talk()
    finish(found, talk)
    exit_if_standin(found, talk)
