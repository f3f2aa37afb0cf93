"""`kohya-presets render`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import DATA, FOLDER, force_option, preset_argument, presets, set_option
from wrapper.export import by_hand


@click.command("render")
@preset_argument()
@click.option("--out", type=FOLDER, required=True, help="Folder to write the files to.")
@click.option(
    "--data",
    type=DATA,
    default=Path("data"),
    show_default=True,
    help="Folder of images, or a dataset config.",
)
@click.option(
    "--base",
    metavar="MODEL",
    default="base.safetensors",
    show_default=True,
    help="SDXL base model: a .safetensors file, or owner/repo on Hugging Face.",
)
@click.option("--name", metavar="NAME", help="Name of the new model.  [default: the preset's name]")
@click.option("--release", metavar="TAG", help="Check the preset for this release of sd-scripts.")
@force_option
@set_option
def command(
    preset: str,
    out: Path,
    data: Path,
    base: str,
    name: str | None,
    release: str | None,
    force: bool,
    overrides: tuple[str, ...],
) -> None:
    """Write the files that sd-scripts reads: config.toml, dataset.toml and command.txt.

    \b
    Example:
        kohya-presets render skynet --out skynet --data ~/pictures/korra --base sdxl.safetensors
    """
    found = presets().load(preset, overrides=overrides)
    for file in by_hand.render(
        found, out, data=data, base=base, name=name, release=release, force=force
    ):
        click.echo(file)
