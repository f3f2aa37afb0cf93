"""`kohya-presets pack`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import (
    DATA,
    FILE,
    force_option,
    ignore_option,
    keep_option,
    presets,
    presets_and_files,
    samples_option,
    set_option,
)
from wrapper.cli.trainer_options import release_option


@click.command("pack")
@click.argument("what", metavar="PRESET|RUN", shell_complete=presets_and_files)
@click.option("--out", type=FILE, required=True, metavar="FILE.zip", help="The archive to write.")
@click.option("--data", type=DATA, help="With a preset: folder with images, or a dataset config.")
@click.option(
    "--base",
    metavar="MODEL",
    help="Base model, as the other machine gets it: owner/repo[/file] on Hugging Face.",
)
@click.option("--with-base", is_flag=True, help="Also pack the base model, if --base is a file.")
@click.option(
    "--with-state",
    is_flag=True,
    help="With a run: also pack its newest state, so that training goes on there.",
)
@click.option(
    "--name", metavar="NAME", help="Name of the run and its files.  [default: the preset's name]"
)
@release_option
@set_option
@ignore_option
@keep_option
@samples_option
@force_option
def command(
    what: str,
    out: Path,
    data: Path | None,
    base: str | None,
    with_base: bool,
    with_state: bool,
    name: str | None,
    release: str,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
    keep: str | None,
    samples: str | None,
    force: bool,
) -> None:
    """Pack all that another machine needs to train with PRESET, or what RUN was started with.

    Images, captions, settings and this program go into one file, with a hash of each. The base
    model stays out: the other machine downloads it. Nothing is packed that is a secret, or that
    names a folder of this computer.

    \b
    Example:
        kohya-presets pack skynet --data ~/pictures/korra --name korra \\
            --base stabilityai/stable-diffusion-xl-base-1.0 --out korra.zip
    """
    from wrapper.renting import contents
    from wrapper.renting import pack as packing
    from wrapper.runs import manifest
    from wrapper.screen.talk import Talk
    from wrapper.system import sizes

    if (Path(what).expanduser() / manifest.NAME).is_file():
        if data or name or overrides or keep or samples:
            message = "a run is packed as it was started. Leave these out: --data, --name, --set, "
            raise click.UsageError(f"{message}--keep, --samples.")
        asked = contents.of_run(
            Path(what).expanduser(), base=base, with_base=with_base, with_state=with_state
        )
    else:
        if with_state:
            raise click.UsageError("--with-state is for a run: give its folder")
        if data is None or base is None:
            raise click.UsageError("a preset needs its images and its base model: --data, --base")
        found = presets().load(what, overrides=overrides)
        request = contents.request(found, name, release, ignore=ignore, keep=keep, samples=samples)
        asked = contents.Asked(request, data, base, with_base)
    talk = Talk()
    listing = packing.write(contents.of(asked, talk), out, force=force)
    size = sizes.said(out.expanduser().stat().st_size)
    talk.say(f"{len(listing.files)} files, {size}; base model: {listing.base}")
    click.echo(out)
