"""`kohya-presets extract`."""

from __future__ import annotations

from pathlib import Path

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
    out: Path,
    overrides: tuple[str, ...],
    force: bool,
    release: str,
    checkout: Path | None,
    python: str | None,
) -> None:
    """Extract a LoRA from each fine-tuned SDXL model that you have.

    The settings are those of [extract] in PRESET. Without PRESET they are those of lion: rank 128,
    with the patch fast-lora. The files are checked first, and so is each LoRA in the end.

    \b
    Example:
        kohya-presets extract --base sd_xl_base_1.0.safetensors \\
            --tuned korra-000010.safetensors korra.safetensors --out loras --set extract.dim=64
    """
    asked = converting.request(
        "extract", words, tuned, out, overrides, force, release, checkout, python
    )
    talk = Talk()
    converting.finish(ready.extractions(asked, base, talk), talk)
