"""`kohya-presets resize`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli import converting
from wrapper.cli.converting import converting_options
from wrapper.cli.options import FILE
from wrapper.conversions import ready
from wrapper.screen.talk import Talk


@click.command("resize")
@click.option(
    "--lora",
    "loras",
    type=FILE,
    multiple=True,
    required=True,
    help="LoRA to resize. More files can follow.",
)
@converting_options
def command(
    loras: tuple[Path, ...],
    words: tuple[str, ...],
    out: Path,
    overrides: tuple[str, ...],
    force: bool,
    release: str,
    checkout: Path | None,
    python: str | None,
) -> None:
    """Resize LoRAs that you have to a smaller rank.

    The settings are those of [resize] in PRESET. Without PRESET they are those of skynet: rank 16,
    and the patch fast-lora is used. The files are checked first, and so is each LoRA in the end.

    \b
    Example:
        kohya-presets resize --lora korra-128.safetensors --out korra-32.safetensors \\
            --set resize.new_rank=32
    """
    asked = converting.request(
        "resize", words, loras, out, overrides, force, release, checkout, python
    )
    talk = Talk()
    converting.finish(ready.resizings(asked, talk), talk)
