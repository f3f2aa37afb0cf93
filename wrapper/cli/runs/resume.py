"""`kohya-presets resume`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.ending import exit_if_standin, finish
from wrapper.cli.options import FOLDER, notify_option, oom_option, rate_option
from wrapper.planning import again
from wrapper.runs.kept import gone
from wrapper.screen.talk import Talk
from wrapper.watching.notify import address


@click.command("resume")
@click.argument("run", type=FOLDER)
@click.option("--trust", is_flag=True, help="Continue a run that came from another computer.")
@click.option(
    gone.AGAIN, is_flag=True, help="Train again if training is finished and its model is missing."
)
@notify_option
@oom_option
@rate_option
def command(
    run: Path,
    trust: bool,
    train_again: bool,
    notify: str | None,
    oom: str,
    rate: float | None,
) -> None:
    """Continue RUN at the first stage that is not done.

    RUN is the folder of the run. Finished stages are not repeated. Training goes on from the newest
    state. If the trainer is still running, the command attaches to it.

    The run is planned again from its preset, images and base model. If that gives another plan than
    the one that was started, the command shows the difference and stops.

    \b
    Example:
        kohya-presets resume runs/korra
    """
    address(notify)  # said before anything is done, if it cannot be used
    found, talk = again.ready(run, trust=trust, train_again=train_again), Talk()
    finish(found, talk, notify, oom=oom, rate=rate)
    exit_if_standin(found, talk)
