"""`kohya-presets home`."""

from __future__ import annotations

import click

from wrapper.cli.group import Group
from wrapper.cli.options import json_option, print_json
from wrapper.environments import home as homes
from wrapper.screen.talk import Talk
from wrapper.system import paths, sizes


@click.group("home", cls=Group)
def command() -> None:
    """Show what downloads and environments take, and delete them."""


@command.command("show")
@json_option
def show(as_json: bool) -> None:
    """List what is in the home folder, with its size.

    What is `yours` is never deleted: your presets, your patches, and everything else that
    kohya-presets did not download or create.

    \b
    Example:
        kohya-presets home show
    """
    found = homes.items()
    total = sum(item.size for item in found)
    if as_json:
        print_json(
            {
                "home": str(paths.home()),
                "items": [item.as_json() for item in found],
                "bytes": total,
            }
        )
        return
    for item in found:
        click.echo(f"{item.kind:<13} {sizes.said(item.size):>9}  {item.name:<14} {item.at}")
    click.echo(f"{'total':<13} {sizes.said(total):>9}  {'':<14} {paths.home()}")


@command.command("clean")
@click.argument("kind", type=click.Choice(homes.KINDS))
@click.argument("name", required=False)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted and delete nothing.")
@click.option("--force", is_flag=True, help="Delete checkouts even if you edited their files.")
def clean(kind: str, name: str | None, dry_run: bool, force: bool) -> None:
    """Delete what can be downloaded or created again: all of KIND, or NAME of it.

    The next run that needs it downloads or creates it again. The environment of a checkout is
    deleted with it. Nothing is deleted that a running process uses. Your presets, patches and runs
    are never deleted.

    \b
    Example:
        kohya-presets home clean environments v0.8.7
    """
    found = homes.chosen(kind, name)
    homes.require_unused(found, force=force)
    talk = Talk()
    for item in found:
        verb = "would delete" if dry_run else "deleting"
        talk.say(f"{verb} {item.at} ({item.kind}, {sizes.said(item.size)})")
    for item in () if dry_run else homes.delete(found):
        click.echo(f"deleted {item.at}")
    size = sizes.said(sum(item.size for item in found))
    talk.say(f"{size} {'would be freed' if dry_run else 'freed'}" if found else "nothing to delete")
