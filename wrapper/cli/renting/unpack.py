"""`kohya-presets unpack`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import FILE, FOLDER


@click.command("unpack")
@click.argument("file", type=FILE)
@click.option("--into", type=FOLDER, required=True, metavar="DIR", help="A new or empty folder.")
def command(file: Path, into: Path) -> None:
    """Unpack FILE, which `pack` made, into a folder, and compare every file with its hash.

    If something is missing or damaged, nothing is written.

    \b
    Example:
        kohya-presets unpack korra.zip --into korra
    """
    from wrapper.renting import unpack
    from wrapper.screen.talk import Talk
    from wrapper.system import proc

    listing = unpack.unpack(file, into)
    talk = Talk()
    talk.say(f"{len(listing.files)} files, all as they were packed")
    base = listing.base if "/" not in listing.base or not (into / listing.base).is_file() else None
    words = ("--data", into / listing.data, "--base", base or into / listing.base)
    line = proc.our_line(
        *("train", into / "preset.toml", *words, "--name", listing.name),
        *("--release", listing.release),
    )
    talk.say(f"to train: `{line}`")
    click.echo(into)
