"""`kohya-presets train`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.ending import finish
from wrapper.cli.options import (
    DATA,
    FOLDER,
    ignore_option,
    keep_option,
    notify_option,
    oom_option,
    preset_argument,
    presets,
    rate_option,
    runs_option,
    samples_option,
    set_option,
)
from wrapper.cli.spread_options import (
    among_options,
    gpus_option,
    keep_steps_option,
    machines_option,
    spread_of,
)
from wrapper.cli.trainer_options import site_options
from wrapper.planning import prepare_training
from wrapper.planning.request import Request
from wrapper.screen.talk import Talk
from wrapper.system import proc
from wrapper.watching.notify import address


@click.command("train")
@preset_argument()
@click.option(
    "--data", type=DATA, required=True, help="Folder with images and captions, or a dataset config."
)
@click.option(
    "--base",
    metavar="MODEL",
    required=True,
    help="SDXL base model: a .safetensors file, or owner/repo[/file] on Hugging Face.",
)
@click.option(
    "--name", metavar="NAME", help="Name of the run and its files.  [default: the preset's name]"
)
@runs_option
@site_options
@set_option
@ignore_option
@keep_option
@samples_option
@click.option(
    "--states",
    type=FOLDER,
    metavar="DIR",
    help="Go on from the newest state of the same training, of a pack that you trust.",
)
@notify_option
@oom_option
@rate_option
@gpus_option
@machines_option
@among_options
@keep_steps_option
@click.option("--dry-run", is_flag=True, help="Print the command of each stage and write nothing.")
def command(
    preset: str,
    data: Path,
    base: str,
    name: str | None,
    runs: Path,
    release: str,
    checkout: Path | None,
    python: str | None,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    keep: str | None,
    samples: str | None,
    states: Path | None,
    notify: str | None,
    oom: str,
    rate: float | None,
    gpus: int | None,
    machines: int,
    machine_rank: int,
    main_address: str | None,
    keep_steps: bool,
    dry_run: bool,
) -> None:
    """Train with PRESET, extract the LoRA, and resize it.

    Preset, images and base model are checked first. After an interruption, continue the run with
    `kohya-presets resume`.

    With --gpus, several GPUs train one model together. As many images are seen as with one GPU, in
    fewer steps. With --machines, start the command on each machine, with its --machine-rank.

    \b
    Example:
        kohya-presets train skynet --data ~/pictures/korra --name korra \\
            --base stabilityai/stable-diffusion-xl-base-1.0
    """
    address(notify)  # said before anything is done, if it cannot be used
    found = presets().load(preset, overrides=overrides)
    name = name or found.name
    request = Request(
        *(found, name, runs, release, checkout, python),
        ignore=ignore,
        keep=keep,
        samples=samples,
        spread=spread_of(found, gpus, machines, machine_rank, main_address),
        keep_steps=keep_steps,
        states=states,
    )
    talk = Talk()
    if dry_run:
        for stage in prepare_training.dry(request, data, base, talk).stages:
            click.echo(f"# {stage.name}\n{proc.command_line(stage.launch.argv)}")
        return
    finish(prepare_training.ready(request, data, base, talk), talk, notify, oom=oom, rate=rate)
