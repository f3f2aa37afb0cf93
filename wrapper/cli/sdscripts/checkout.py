"""`kohya-presets checkout`."""

from __future__ import annotations

import click

from wrapper.checkouts import checkout as checkouts
from wrapper.checkouts import trees
from wrapper.checkouts.trees import Copy
from wrapper.cli.group import Group
from wrapper.screen.talk import Talk
from wrapper.system import sizes, users


@click.group("checkout", cls=Group)
def command() -> None:
    """Manage downloaded sd-scripts releases."""


@command.command("add")
@click.argument("release", metavar="[TAG|COMMIT]", required=False)
@click.option(
    "--from",
    "source",
    metavar="URL|DIR|ZIP",
    help="Take sd-scripts from here.  [default: $SD_SCRIPTS_REMOTE, or GitHub]",
)
def add(release: str | None, source: str | None) -> None:
    """Download a release or a commit of sd-scripts.

    Only the files that the SDXL scripts need are downloaded. Write a commit with all 40 digits.

    \b
    Example:
        kohya-presets checkout add v0.9.1
    """
    made = checkouts.add(release, source=source, on_step=Talk().say)
    click.echo(f"{made.name}  {made.commit or '-'}  {made.folder}")


@command.command("list")
def listing() -> None:
    """List the downloaded releases: name, commit and folder.

    The copies of a release with patches follow it: patches, size on the disk, folder. Of each it
    says which process uses it.

    \b
    Example:
        kohya-presets checkout list
    """
    copies = trees.listing()
    for made in checkouts.listing():
        used = users.of(made.folder)
        user = f"  (in use by {users.described(used[0])})" if used else ""
        click.echo(f"{made.name}  {made.commit or '-'}  {made.folder}{user}")
        for copy in copies:
            if copy.made.place == made.place:
                click.echo(f"  {_described(copy)}")


@command.command("clean")
@click.argument("release", metavar="[TAG|COMMIT]", required=False)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted and delete nothing.")
@click.option("--force", is_flag=True, help="Delete copies even if you edited their files.")
def clean(release: str | None, dry_run: bool, force: bool) -> None:
    """Delete the copies with patches, of one release or of all.

    The next run that needs a copy creates it again, in less than a second. The releases themselves
    and their Python environments stay. No copy is deleted that a running process uses.

    \b
    Example:
        kohya-presets checkout clean --dry-run
    """
    talk, found = Talk(), []
    for copy in trees.listing(release):
        if copy.user or (copy.edits and not force):
            talk.say(f"keeping {_described(copy)}")
            continue
        found.append(copy)
        talk.say(f"{'would delete' if dry_run else 'deleting'} {_described(copy)}")
    gone = found if dry_run else []
    for copy in () if dry_run else trees.delete(found):
        gone.append(copy)
        click.echo(f"deleted {copy.made.folder.parent}")
    size = sizes.said(sum(copy.size for copy in gone))
    talk.say(f"{size} {'would be freed' if dry_run else 'freed'}" if gone else "nothing to delete")


@command.command("remove")
@click.argument("release", metavar="TAG|COMMIT")
@click.option("--force", is_flag=True, help="Delete it even if you edited its files.")
def remove(release: str, force: bool) -> None:
    """Delete a downloaded release, its copies with patches and its Python environment.

    \b
    Example:
        kohya-presets checkout remove v0.9.1
    """
    click.echo(f"removed {checkouts.remove(release, force=force)}")


def _described(copy: Copy) -> str:
    why = f"in use by {copy.user}" if copy.user else ""
    if copy.edits:
        why += f"{', ' if why else ''}edited: {', '.join(copy.edits[:5])}"
    folder = f"{copy.made.folder}{f'  ({why})' if why else ''}"
    return f"{copy.carries}  {sizes.said(copy.size)}  {folder}"
