"""`kohya-presets checkout`."""

from __future__ import annotations

import click

from wrapper.checkouts import checkout as checkouts
from wrapper.cli.group import Group
from wrapper.screen.talk import Talk


@click.group("checkout", cls=Group)
def command() -> None:
    """Get sd-scripts in the release you want, beside others."""


@command.command("add")
@click.argument("release", metavar="[TAG|COMMIT]", required=False)
@click.option(
    "--from",
    "source",
    metavar="URL|DIR|ZIP",
    help="Where to get it.  [default: SD_SCRIPTS_REMOTE, else upstream]",
)
def add(release: str | None, source: str | None) -> None:
    """Get a release (or a full commit) of sd-scripts; only the files its SDXL scripts need.

    \b
    Example:
        kohya-presets checkout add v0.9.1
    """
    made = checkouts.add(release, source=source, on_step=Talk().say)
    click.echo(f"{made.name}  {made.commit or '-'}  {made.folder}")


@command.command("list")
def listing() -> None:
    """List the checkouts: release, commit, folder."""
    for made in checkouts.listing():
        click.echo(f"{made.name}  {made.commit or '-'}  {made.folder}")


@command.command("remove")
@click.argument("release", metavar="TAG|COMMIT")
@click.option("--force", is_flag=True, help="Even if you edited files in it.")
def remove(release: str, force: bool) -> None:
    """Delete a checkout and its environment.

    \b
    Example:
        kohya-presets checkout remove v0.9.1
    """
    click.echo(f"removed {checkouts.remove(release, force=force)}")
