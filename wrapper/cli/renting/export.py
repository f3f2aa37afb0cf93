"""`kohya-presets export`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kohya_presets.renting import gpus as known
from wrapper.cli.group import Group
from wrapper.cli.options import (
    DATA,
    FOLDER,
    Decorated,
    force_option,
    ignore_option,
    keep_option,
    preset_argument,
    presets,
    samples_option,
    set_option,
)
from wrapper.cli.trainer_options import release_option


@click.group("export", cls=Group)
def command() -> None:
    """Write the files that train PRESET on a rented GPU: commands, start script and pack."""


def _of_a_training(function: Decorated) -> Decorated:
    """Add what is trained, and on what kind of machine."""
    options = (
        preset_argument(),
        click.option(
            "--data",
            type=DATA,
            required=True,
            help="Folder with images and captions, or a dataset config.",
        ),
        click.option(
            "--base",
            metavar="MODEL",
            required=True,
            help="Base model, as the other machine gets it: owner/repo[/file] on Hugging Face.",
        ),
        click.option("--with-base", is_flag=True, help="Also send the base model, a file."),
        click.option(
            "--out", type=FOLDER, required=True, metavar="DIR", help="Folder for the files."
        ),
        click.option(
            "--name", metavar="NAME", help="Name of the run.  [default: the preset's name]"
        ),
        click.option(
            "--gpu", metavar="NAME", help="GPU to rent.  [default: any that is large enough]"
        ),
        click.option(
            "--gpus",
            "count",
            type=click.IntRange(1, known.MOST),
            metavar="NUMBER",
            help="GPUs that train together on each machine.  [default: what the preset says, or 1]",
        ),
        click.option(
            "--machines",
            type=click.IntRange(min=1),
            default=1,
            metavar="NUMBER",
            show_default=True,
            help="Machines that train together; not on Vast and RunPod.",
        ),
        click.option(
            "--price",
            type=click.FloatRange(min=0, min_open=True),
            metavar="MONEY",
            help="What an hour of a machine may cost at most; for interruptible ones your bid.",
        ),
        click.option(
            "--on-demand", is_flag=True, help="Rent a machine that nobody takes away; dearer."
        ),
        click.option(
            "--bucket",
            metavar="s3://NAME/FOLDER",
            help="Where to keep states, so that another machine can go on.",
        ),
        release_option,
        set_option,
        ignore_option,
        keep_option,
        samples_option,
        force_option,
    )
    return functools.reduce(lambda made, option: option(made), reversed(options), function)


@command.command("vast")
@_of_a_training
def vast(**asked: Any) -> None:
    """Write the commands for Vast.ai: find, rent, send, get and end.

    \b
    Example:
        kohya-presets export vast skynet --data ~/pictures/korra --name korra --price 1.20 \\
            --base stabilityai/stable-diffusion-xl-base-1.0 --out rent-korra
        sh rent-korra/vast.sh find
    """
    from wrapper.renting import exported

    _write(exported.vast, **asked)


@command.command("runpod")
@_of_a_training
def runpod(**asked: Any) -> None:
    """Write the commands for RunPod: rent, send, get and end.

    \b
    Example:
        kohya-presets export runpod skynet --data ~/pictures/korra --name korra \\
            --base stabilityai/stable-diffusion-xl-base-1.0 --out rent-korra
    """
    from wrapper.renting import exported

    _write(exported.runpod, **asked)


@command.command("docker")
@_of_a_training
def docker(**asked: Any) -> None:
    """Write an image recipe, and the commands for any machine with Docker and a GPU.

    \b
    Example:
        kohya-presets export docker lion --data ~/pictures/korra --name korra \\
            --base stabilityai/stable-diffusion-xl-base-1.0 --out rent-korra
    """
    from wrapper.renting import exported

    _write(exported.docker, **asked)


@command.command("sky")
@click.option(
    "--cloud",
    "clouds",
    multiple=True,
    type=click.Choice(known.CLOUDS),
    help="Cloud to use (repeatable).  [default: each that has such a GPU]",
)
@_of_a_training
def sky(clouds: tuple[str, ...], **asked: Any) -> None:
    """Write a task for SkyPilot, which rents where it is cheapest.

    \b
    Example:
        kohya-presets export sky skynet --data ~/pictures/korra --name korra --out rent-korra \\
            --base stabilityai/stable-diffusion-xl-base-1.0 --bucket s3://my-bucket/korra
        cd rent-korra; sky launch -c korra task.yaml
    """
    from wrapper.renting import exported

    def made(order: Any) -> dict[str, str]:
        return exported.sky(order, clouds)

    _write(made, **asked)


def _write(
    made: Callable[[Any], dict[str, str]],
    *,
    preset: str,
    data: Path,
    base: str,
    with_base: bool,
    out: Path,
    name: str | None,
    gpu: str | None,
    count: int | None,
    machines: int,
    price: float | None,
    on_demand: bool,
    bucket: str | None,
    release: str,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    keep: str | None,
    samples: str | None,
    force: bool,
) -> None:
    from kohya_presets.training.spread import Spread
    from wrapper.renting import contents, exported, order
    from wrapper.renting import pack as packing
    from wrapper.screen.talk import Talk
    from wrapper.system import sizes, whole

    found = presets().load(preset, overrides=overrides)
    count = count or found.gpus
    request = contents.request(
        *(found, name, release),
        ignore=ignore,
        keep=keep,
        samples=samples,
        spread=Spread(count, machines),
    )
    talk = Talk()
    packed = contents.of(contents.Asked(request, data, base, with_base), talk)
    wanted = order.of(
        packed.needs,
        packed.name,
        gpu=gpu,
        price=price,
        spot=not on_demand,
        bucket=bucket,
        count=count,
        machines=machines,
        own=found.gpus,
    )
    files = {**made(wanted), exported.START: exported.start_script()}
    archive = out.expanduser() / exported.PACK
    texts = {out.expanduser() / file: text for file, text in files.items()}
    if not force:
        whole.require_free([archive, *texts])
    packing.write(packed, archive, force=force)
    whole.write(texts, force=force)
    for gpu_ in wanted.gpus:
        talk.say(f"large enough: {gpu_.name}, {gpu_.gib:g} GiB")
    talk.say(f"disk: {wanted.disk} GB; {exported.PACK}: {sizes.said(archive.stat().st_size)}")
    for file in (archive, *texts):
        click.echo(file)
