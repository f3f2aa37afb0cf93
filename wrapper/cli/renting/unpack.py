"""`kohya-presets unpack`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import FILE, FOLDER


@click.command("unpack")
@click.argument("file", type=FILE)
@click.option("--into", type=FOLDER, required=True, metavar="DIR", help="A new or empty folder.")
@click.option(
    "--with-patches", is_flag=True, help="Also install the pack's own patches, which are code."
)
def command(file: Path, into: Path, with_patches: bool) -> None:
    """Unpack FILE, which `pack` made, into a folder, and compare every file with its hash.

    If something is missing or damaged, nothing is written. If the pack has a state of training or
    patches of somebody, use it only if you trust who made it: both can hold code.

    \b
    Example:
        kohya-presets unpack korra.zip --into korra
    """
    from kohya_presets.problems import listed
    from kohya_presets.renting import packed
    from wrapper.renting import unpack
    from wrapper.screen.talk import Talk
    from wrapper.system import paths, proc

    listing = unpack.unpack(file, into, patches=paths.user_patches() if with_patches else None)
    talk = Talk()
    talk.say(f"{len(listing.files)} files, all as they were packed")
    base = listing.base if "/" not in listing.base or not (into / listing.base).is_file() else None
    words = ("--data", into / listing.data, "--base", base or into / listing.base)
    if own := unpack.own_patches(listing):
        where = f"installed in {paths.user_patches()}"
        if not with_patches:
            where = f"to use them, copy them from {into / packed.PATCHES} to {paths.user_patches()}"
        talk.say(f"patches of its own: {listed(own)}; {where}")
    has_state = (into / packed.STATES).is_dir()
    line = proc.our_line(
        *("train", into / "preset.toml", *words, "--name", listing.name),
        *("--release", listing.release),
        *(("--states", into / packed.STATES) if has_state else ()),
    )
    talk.say(f"to train: `{line}`")
    click.echo(into)
