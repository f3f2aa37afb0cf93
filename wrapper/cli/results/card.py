"""`kohya-presets card`."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import click

from wrapper.cli.options import FILE, FOLDER, force_option, json_option, print_json
from wrapper.screen.talk import Talk

# What needs Jinja2, Pillow and tomlkit is imported where it is used: the list of all commands
# imports this module.

_NEEDS = {  # an option, and the one without which it has no effect
    "lora_out": "metadata",
    "in_place": "metadata",
    "thumbnail": "metadata",
    "yes_upload": "upload",
    "public": "upload",
}


@click.command("card")
@click.argument("subject", metavar="RUN|LORA", type=click.Path(path_type=Path))
@click.option("--out", type=FOLDER, help="Folder of the card.  [default: RUN/card, or LORA-card]")
@click.option(
    "--after",
    type=click.Path(path_type=Path),
    metavar="RUN|FILE",
    help="Begin with the words of an earlier card: its run, or its card.toml.",
)
@click.option("--metadata", is_flag=True, help="Also put the facts into a copy of the LoRA.")
@click.option(
    "--lora-out", type=FILE, metavar="FILE", help="The copy.  [default: in the card's folder]"
)
@click.option("--in-place", is_flag=True, help="Change the LoRA's file itself instead of a copy.")
@click.option(
    "--thumbnail",
    type=FILE,
    metavar="IMAGE",
    help="Picture for the metadata.  [default: the first sample picture]",
)
@click.option(
    "--upload",
    nargs=2,
    type=(click.Choice(["hf"]), str),
    metavar="hf OWNER/NAME",
    help="Show what would be uploaded to Hugging Face.",
)
@click.option("--yes-upload", is_flag=True, help="Upload it. The token is read from HF_TOKEN.")
@click.option("--public", is_flag=True, help="If the repository is new, make it public.")
@force_option
@json_option
def command(subject: Path, upload: tuple[str, str] | None, as_json: bool, **options: Any) -> None:
    """Write the model page of a LoRA: for CivitAI, for Hugging Face, and as Markdown.

    The facts come from the run, or from the LoRA's file. What only you know goes into card.toml:
    the first call creates it, then you fill it in and run the command again.

    With --metadata, a copy of the LoRA gets title, description, trigger, license and a thumbnail.
    With --upload, nothing is sent until you add --yes-upload.

    \b
    Example:
        kohya-presets card runs/korra
        kohya-presets card runs/korra --metadata
        kohya-presets card runs/korra --upload hf my-name/korra
    """
    _check({**options, "upload": upload})
    from wrapper.cards import making, told

    wishes = making.Wishes(repository=upload[1] if upload else "", **options)
    done = making.carry_out(subject, wishes, today=datetime.date.today(), environment=os.environ)
    talk = Talk()
    for warning in done.found.warnings:
        talk.warn(warning)
    talk.problems(done.card.warnings)
    if as_json:
        print_json(told.values(done))
    else:
        click.echo(told.text(done))
    if done.planned and not done.address:
        talk.say("nothing was uploaded. To upload, add --yes-upload to the same command.")


def _check(options: dict[str, Any]) -> None:
    for name, needed in _NEEDS.items():
        if options[name] and not options[needed]:
            raise click.UsageError(f"{_typed(name)} needs {_typed(needed)}")
    if options["in_place"] and options["lora_out"]:
        raise click.UsageError("--in-place and --lora-out exclude each other")


def _typed(name: str) -> str:
    return f"--{name.replace('_', '-')}"
