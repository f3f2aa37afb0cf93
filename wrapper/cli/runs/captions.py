"""`kohya-presets captions`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import FOLDER
from wrapper.data import caption_files


@click.command("captions")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@click.option("--overwrite", is_flag=True, help="Also replace captions that are there.")
def command(folder: Path, dry_run: bool, overwrite: bool) -> None:
    """Write IMAGE.txt beside each image in DIR, from the image's file name.

    A counter at the end, as bulk renaming leaves it, is not part of the caption.

    \b
    Example:
        kohya-presets captions ~/pictures/korra --dry-run
    """
    planned = caption_files.plan(folder, overwrite=overwrite)
    if not dry_run:
        caption_files.write(planned)
    for caption in planned:
        click.echo(f"{caption.state:<11}  {caption.file.name}: {caption.text}")
    written = sum(caption.state in ("new", "overwritten") for caption in planned)
    would = "would write" if dry_run else "wrote"
    click.echo(f"{would} {written} of {len(planned)} captions", err=True)
