"""`kohya-presets captions`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import FOLDER
from wrapper.data import caption_files


@click.command("captions")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--dry-run", is_flag=True, help="Print the captions and write nothing.")
@click.option("--overwrite", is_flag=True, help="Also replace existing captions.")
def command(folder: Path, dry_run: bool, overwrite: bool) -> None:
    """Write a caption for each image in DIR, from the image's file name.

    The image `korra (1).png` gets the file `korra (1).txt` with the caption `korra`: a number that
    bulk renaming added is left out.

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
