"""`kohya-presets resize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    overrides: tuple[str, ...],
    **asked: Any,
) -> None:
    """Resize LoRAs that you have to a smaller rank.

    The settings are those of [resize] in PRESET. Without PRESET they are those of skynet: rank 16,
    and the patch fast-lora is used. The files are checked first, and so is each LoRA in the end.

    \b
    Example:
        kohya-presets resize --lora korra-128.safetensors --out korra-32.safetensors \\
            --set resize.new_rank=32
    """
    request = converting.request("resize", words, loras, overrides, **asked)
    talk = Talk()
    converting.finish(ready.resizings(request, talk), talk)
