"""Options that say how many GPUs and machines train together."""

from __future__ import annotations

import click

from kohya_presets.presets.preset import Preset
from kohya_presets.training import spread as spreads
from kohya_presets.training.spread import PORT, Spread, of_preset
from wrapper.cli.options import Decorated


def gpus_option(function: Decorated) -> Decorated:
    """Add --gpus."""
    return click.option(
        "--gpus",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        help="GPUs that train together on each machine.  [default: the preset's, mostly 1]",
    )(function)


def machines_option(function: Decorated) -> Decorated:
    """Add --machines."""
    return click.option(
        "--machines",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="NUMBER",
        help="Machines that train together.",
    )(function)


def keep_steps_option(function: Decorated) -> Decorated:
    """Add --keep-steps."""
    return click.option(
        "--keep-steps",
        is_flag=True,
        help="With several GPUs, take as many steps as with one, and so see more images.",
    )(function)


def among_options(function: Decorated) -> Decorated:
    """Add --machine-rank and --main-address."""
    rank = click.option(
        "--machine-rank",
        type=click.IntRange(min=0),
        default=0,
        metavar="NUMBER",
        help="Number of this machine, from 0. Machine 0 saves the files.",
    )
    address = click.option(
        "--main-address",
        metavar="HOST[:PORT]",
        help=f"Where the others reach machine 0.  [default port: {PORT}]",
    )
    return rank(address(function))


def spread_of(
    preset: Preset, gpus: int | None, machines: int = 1, rank: int = 0, address: str | None = None
) -> Spread:
    """Return what the options say, or else the preset.

    Raises:
        click.UsageError: they do not go together.
    """
    gpus = gpus or of_preset(preset).gpus
    if machines == 1 and (rank or address):
        raise click.UsageError("--machine-rank and --main-address are for --machines.")
    if rank >= machines:
        raise click.UsageError(f"--machine-rank is 0 to {machines - 1} for {machines} machines.")
    if machines > 1 and address is None:
        raise click.UsageError("--machines needs --main-address: where the others reach machine 0.")
    if address is None:
        return Spread(gpus, machines, rank)
    try:
        host, port = spreads.at(address)
    except ValueError as error:
        raise click.UsageError(f"--main-address: {error}.") from None
    return Spread(gpus, machines, rank, host, port)
