"""`kohya-presets plan`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import (
    DATA,
    ignore_option,
    json_option,
    keep_option,
    preset_argument,
    presets,
    print_json,
    rate_option,
    set_option,
)
from wrapper.cli.spread_options import gpus_option, keep_steps_option, machines_option
from wrapper.cli.trainer_options import checkout_option, release_option


@click.command("plan")
@preset_argument()
@click.option(
    "--data", type=DATA, required=True, help="Folder with images and captions, or a dataset config."
)
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Base model, if it is on this computer.  [default: as large as SDXL]",
)
@gpus_option
@machines_option
@keep_steps_option
@click.option(
    "--pace", type=click.FloatRange(min=0, min_open=True), help="Steps per second, to tell hours."
)
@rate_option
@release_option
@checkout_option
@set_option
@ignore_option
@keep_option
@json_option
def command(
    preset: str,
    data: Path,
    base: Path | None,
    gpus: int | None,
    machines: int,
    keep_steps: bool,
    pace: float | None,
    rate: float | None,
    release: str,
    checkout: Path | None,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    keep: str | None,
    as_json: bool,
) -> None:
    """Tell what training takes before you pay for it: steps, GPU memory, disk, hours and money.

    Preset and images are checked as `train` checks them. Nothing is downloaded and nothing is
    written. Hours are told for GPUs on which somebody measured the same settings, and for --pace.

    \b
    Example:
        kohya-presets plan skynet --data ~/pictures/korra --pace 1.2 --rate 1.90
    """
    from kohya_presets.renting import offer
    from kohya_presets.training.spread import Spread, of_preset
    from wrapper.planning.request import Request
    from wrapper.renting import foreseen
    from wrapper.screen.talk import Talk

    found = presets().load(preset, overrides=overrides)
    request = Request(
        *(found, found.name, Path("runs"), release, checkout),
        ignore=ignore,
        keep=keep,
        spread=Spread(gpus or of_preset(found).gpus, machines),
        keep_steps=keep_steps,
    )
    needs = foreseen.of(request, data, Talk(), base=base, pace=pace, rate=rate).needs
    if as_json:
        print_json(offer.values(needs))
    else:
        click.echo(offer.text(needs))
