"""`kohya-presets extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wrapper.cli import converting
from wrapper.cli.converting import converting_options
from wrapper.cli.options import FILE
from wrapper.conversions import ready
from wrapper.screen.talk import Talk


@click.command("extract")
@click.option(
    "--base",
    metavar="MODEL",
    required=True,
    help="Base model, before training: a .safetensors file, or owner/repo[/file] on Hugging Face.",
)
@click.option(
    "--tuned",
    type=FILE,
    multiple=True,
    required=True,
    help="Fine-tuned model, after training. More files can follow.",
)
@converting_options
def command(
    base: str,
    tuned: tuple[Path, ...],
    words: tuple[str, ...],
    overrides: tuple[str, ...],
    **asked: Any,
) -> None:
    """Extract a LoRA from each fine-tuned SDXL model that you have.

    The settings are those of [extract] in PRESET. Without PRESET they are those of lion: rank 128,
    with the patch fast-lora. The files are checked first, and so is each LoRA in the end.

    \b
    Example:
        kohya-presets extract --base sd_xl_base_1.0.safetensors \\
            --tuned korra-000010.safetensors korra.safetensors --out loras --set extract.dim=64
    """
    request = converting.request("extract", words, tuned, overrides, **asked)
    talk = Talk()
    converting.finish(ready.extractions(request, base, talk), talk)
    if request.preset.resize is not None:
        name = request.preset.name
        talk.say(
            f"{name} also resizes its LoRA: `kohya-presets resize {name} --lora FILE --out FILE`"
        )
