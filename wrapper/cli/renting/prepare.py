"""`kohya-presets prepare`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import FOLDER


@click.command("prepare")
@click.argument("run", type=FOLDER)
def command(run: Path) -> None:
    """Download what RUN of another machine needs to go on here: sd-scripts and base model.

    Its folder, its images and the home of kohya-presets must have the same paths as on the machine
    that started it. Then `kohya-presets resume RUN --trust` goes on.

    \b
    Example:
        kohya-presets prepare runs/korra
    """
    from wrapper.renting import prepared
    from wrapper.screen.talk import Talk

    prepared.prepare(run, Talk())
