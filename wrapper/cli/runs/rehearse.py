"""`kohya-presets rehearse`."""

from __future__ import annotations

from pathlib import Path

import click

from kohya_presets.errors import UserError
from wrapper.cli.ending import exit_if_standin, finish
from wrapper.cli.options import (
    DATA,
    ignore_option,
    keep_option,
    notify_option,
    preset_argument,
    presets,
    runs_option,
    samples_option,
    set_option,
)
from wrapper.cli.spread_options import spread_of
from wrapper.cli.trainer_options import site_options
from wrapper.planning import prepare_rehearsal
from wrapper.planning.prepare_rehearsal import Rehearsal
from wrapper.planning.request import Request
from wrapper.runs import proof
from wrapper.screen.talk import Talk
from wrapper.watching.notify import address


@click.command("rehearse")
@preset_argument()
@click.option(
    "--data",
    type=DATA,
    help="Use some of these images: a folder, or a dataset config.  [default: generated images]",
)
@runs_option
@site_options
@click.option("--standin", is_flag=True, help="Use our small stand-in scripts, without sd-scripts.")
@click.option(
    "--full-size", is_flag=True, help="Train a model of SDXL's true size; it takes 20 GB of memory."
)
@set_option
@ignore_option
@keep_option
@samples_option
@notify_option
@click.option(
    "--gpus",
    type=click.IntRange(min=1, max=8),
    metavar="NUMBER",
    help="As with so many GPUs: a process on the CPU for each.  [default: the preset's]",
)
def command(
    preset: str,
    data: Path | None,
    runs: Path,
    release: str,
    checkout: Path | None,
    python: str | None,
    standin: bool,
    full_size: bool,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    keep: str | None,
    samples: str | None,
    notify: str | None,
    gpus: int | None,
) -> None:
    """Test the whole job of PRESET with a tiny SDXL model, on this computer's CPU.

    The real scripts train, extract and resize. Only the model, the images and the number of steps
    are small.

    With --full-size the model is as large as SDXL, and only training is tested: it measures the
    memory of weights, optimizer state and gradients, without a GPU.

    If sd-scripts cannot be downloaded, small scripts of our own take its place, the stand-in. The
    exit code is then 6.

    \b
    Example:
        kohya-presets rehearse skynet
        kohya-presets rehearse adacoor --full-size
    """
    address(notify)  # said before anything is done, if it cannot be used
    found = presets().load(preset, overrides=overrides)
    if full_size and (standin or data):
        raise UserError("--full-size works without --standin and --data")
    if gpus and gpus > 1 and (standin or full_size):
        raise UserError("--gpus works without --standin and --full-size")
    name = f"{'full-size' if full_size else 'rehearsal'}-{found.name}"
    request = Request(
        *(found, name, runs, release, checkout, python, data, standin, ignore),
        keep=keep,
        full_size=full_size,
        samples=samples,
        spread=spread_of(found, 1 if standin or full_size else gpus),
    )
    talk = Talk()
    ready = prepare_rehearsal.ready(request, talk)
    talk.say(f"rehearsing {found.name} with {_whose(ready)}; changed for the rehearsal:")
    for replaced in ready.replaced:
        talk.say(f"  {replaced}")
    finish(ready.run, talk, notify)
    measured = proof.of(ready.run, ready.preset, ready.trained, ready.estimated)
    talk.say("tested:" if not ready.standin else "tested, with the stand-in:")
    for line in measured.proved:
        talk.say(f"  + {line}")
    if measured.missed:
        talk.warn("expected, but not found in this rehearsal:")
        for line in measured.missed:
            talk.say(f"  ! {line}")
    talk.say("not tested:")
    for line in prepare_rehearsal.not_proved(found, ready.standin):
        talk.say(f"  - {line}")
    exit_if_standin(ready.run, talk)


def _whose(ready: Rehearsal) -> str:
    if ready.standin:
        return "the stand-in"
    facts = ready.run.facts["sd-scripts"]
    name = f"sd-scripts {facts['release'] or facts['commit'] or facts['folder']}"
    return f"{name}, patched ({', '.join(facts['patches'])})" if facts["patches"] else name
