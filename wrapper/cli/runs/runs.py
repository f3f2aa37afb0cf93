"""`kohya-presets runs`."""

from __future__ import annotations

from pathlib import Path

import click

from kohya_presets.problems import listed
from wrapper.cli.group import Group
from wrapper.cli.options import FOLDER, json_option, print_json, runs_option
from wrapper.runs import manifest, overview, runner
from wrapper.runs.kept import contents
from wrapper.screen.talk import Talk
from wrapper.system import sizes


@click.group("runs", cls=Group)
def command() -> None:
    """Show what runs do and have made, and delete what you no longer need."""


@command.command("list")
@runs_option
@json_option
def list_runs(runs: Path, as_json: bool) -> None:
    """List the runs in a folder: preset, how far each is, size, when it started.

    `runs show RUN` says what is wrong with a damaged one.

    \b
    Example:
        kohya-presets runs list
    """
    found, damaged = contents.every(runs.expanduser())
    if as_json:
        values = [overview.values(run) for run in found]
        print_json({"runs": values, "damaged": [str(folder) for folder in damaged]})
        return
    rows = [*map(overview.line, found), *map(overview.damaged, damaged)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    if not rows:
        Talk().say(f"there are no runs in {runs}")


@command.command("show")
@click.argument("run", type=FOLDER)
@click.option("--follow", is_flag=True, help="Show the progress until the run's script ends.")
@json_option
def show(run: Path, follow: bool, as_json: bool) -> None:
    """Show how far RUN is, what went into it, and what it has made.

    With --follow, the command shows the progress of a run that another terminal started. Ctrl-C
    then ends only the display.

    \b
    Example:
        kohya-presets runs show runs/korra --follow
    """
    found, talk = manifest.read(run), Talk()
    if follow:
        runner.watch(found, talk)
        found = manifest.read(run)
    if as_json:
        print_json(overview.values(found))
    else:
        click.echo(overview.text(found), nl=False)


@command.command("clean")
@click.argument("run", type=FOLDER)
@click.argument("kinds", metavar="[KIND]...", type=click.Choice([*contents.KINDS]), nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted and delete nothing.")
@click.option("--force", is_flag=True, help="Delete states even if training is not finished.")
def clean(run: Path, kinds: tuple[str, ...], dry_run: bool, force: bool) -> None:
    """Delete what RUN has of each KIND; without KIND, only list it.

    The kinds are states, checkpoints (what training saved on the way), leftovers (of earlier
    attempts), samples and logs. The last model and the LoRAs made from models are never deleted.

    \b
    Example:
        kohya-presets runs clean runs/korra states leftovers
    """
    run_, talk = manifest.read(run), Talk()
    found = contents.of(run_, kinds or tuple(contents.KINDS))
    dry_run = dry_run or not kinds
    if not dry_run and not force:
        contents.require_unneeded(run_, kinds)
    for item in found:
        verb = "would delete" if dry_run else "deleting"
        talk.say(f"{verb} {item.at} ({item.kind}, {sizes.said(item.size)})")
    for item in () if dry_run else contents.delete(run_, found):
        click.echo(f"deleted {item.at}")
    size = sizes.said(sum(item.size for item in found))
    talk.say(f"{size} {'would be freed' if dry_run else 'freed'}" if found else "nothing to delete")
    if found and not kinds:
        talk.say(f"add what to delete: {listed(dict.fromkeys(item.kind for item in found))}")


@command.command("remove")
@click.argument("run", type=FOLDER)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted and delete nothing.")
def remove(run: Path, dry_run: bool) -> None:
    """Delete RUN with its models and LoRAs.

    Files in its folder that kohya-presets did not create stay.

    \b
    Example:
        kohya-presets runs remove runs/korra --dry-run
    """
    found, talk = manifest.read(run), Talk()
    size = sizes.said(sizes.of(found.folder))
    if dry_run:
        talk.say(f"would delete {found.folder} ({size}), with {found.product}")
        return
    left = contents.remove(found)
    for at in left:
        talk.say(f"keeping {at}: it is not the run's")
    click.echo(f"deleted {found.folder}")
