"""`kohya-presets checkout`."""

from __future__ import annotations

import click

from wrapper.checkouts import checkout as checkouts
from wrapper.cli.group import Group
from wrapper.screen.talk import Talk


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

    \b
    Example:
        kohya-presets checkout list
    """
    for made in checkouts.listing():
        click.echo(f"{made.name}  {made.commit or '-'}  {made.folder}")


@command.command("remove")
@click.argument("release", metavar="TAG|COMMIT")
@click.option("--force", is_flag=True, help="Delete it even if you edited its files.")
def remove(release: str, force: bool) -> None:
    """Delete a downloaded release and its Python environment.

    \b
    Example:
        kohya-presets checkout remove v0.9.1
    """
    click.echo(f"removed {checkouts.remove(release, force=force)}")
