"""`kohya-presets patch`."""

from __future__ import annotations

from pathlib import Path

import click

from kohya_presets.sdscripts import releases
from patches import registry
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.cli.group import Group
from wrapper.cli.options import FOLDER, Decorated, json_option, print_json
from wrapper.runs import trainer
from wrapper.screen.talk import Talk
from wrapper.system import paths, rewrite

NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)


def _where(function: Decorated) -> Decorated:
    """Add --checkout and --release."""
    for option in (
        click.option("--checkout", type=FOLDER, help="A clone of sd-scripts, or a Kohya GUI."),
        click.option(
            "--release",
            default=releases.DEFAULT,
            show_default=True,
            metavar="TAG|COMMIT",
            help="Without --checkout: which of the tool's own.",
        ),
    ):
        function = option(function)
    return function


@click.group("patch", cls=Group)
def command() -> None:
    """Put patches into a checkout of sd-scripts or a Kohya GUI, and take them out again."""


@command.command("list")
def listing() -> None:
    """List the patches: ours, and yours in the folder `patches` of the user data folder."""
    for patch in registry.every(paths.user_patches()):
        click.echo(f"{patch.name:<10}{patch.summary}")


@command.command("apply")
@NAMES
@_where
def apply(names: tuple[str, ...], checkout: Path | None, release: str) -> None:
    """Put patches in: all of their files are changed, or none. A NAME may be a patch's folder.

    \b
    Example:
        kohya-presets patch apply ema adacoor --checkout ~/kohya_ss
    """
    wanted = [registry.find(name, paths.user_patches()) for name in names]
    found = trainer.checkout_for(release, checkout, Talk())
    with rewrite.alone(found.folder):
        changes = patchwork.applying(found, wanted)
        rewrite.carry_out(changes)
    _told(found, changes)


@command.command("revert")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@_where
@click.option("--even-edited", is_flag=True, help="Lose what was edited inside of their blocks.")
def revert(names: tuple[str, ...], checkout: Path | None, release: str, even_edited: bool) -> None:
    """Take patches out; all of them, if none is named. Your own edits stay.

    \b
    Example:
        kohya-presets patch revert --checkout ~/kohya_ss
    """
    found = trainer.checkout_for(release, checkout, Talk())
    with rewrite.alone(found.folder):
        there = patchwork.carried(found)
        for name in names:
            if Path(name).name not in there:
                registry.find(name, paths.user_patches())  # says so where there is no such patch
        wanted = [Path(name).name for name in names] or sorted(there)
        changes = patchwork.reverting(found, wanted, even_edited=even_edited)
        rewrite.carry_out(changes)
    _told(found, changes)


@command.command("status")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@_where
@json_option
def status(names: tuple[str, ...], checkout: Path | None, release: str, as_json: bool) -> None:
    """Say what a checkout has of each patch."""
    found = trainer.checkout_for(release, checkout, Talk())
    own = paths.user_patches()
    wanted = [registry.find(name, own) for name in names] or registry.every(own)
    states = [patchwork.status(found, patch) for patch in wanted]
    if as_json:
        print_json({"patches": [vars(state) for state in states]})
        return
    click.echo(f"{found.folder}: sd-scripts {found.name}")
    for state in states:
        click.echo(f"{state.patch:<10}{state.state}{f': {state.why}' if state.why else ''}")


@command.command("diff")
@NAMES
@_where
def diff(names: tuple[str, ...], checkout: Path | None, release: str) -> None:
    """Print what putting patches in would change, as `git apply` takes it.

    \b
    Example:
        kohya-presets patch diff ema --checkout ~/kohya_ss > ema.diff
    """
    wanted = [registry.find(name, paths.user_patches()) for name in names]
    found = trainer.checkout_for(release, checkout, Talk())
    changes = patchwork.applying(found, wanted)
    click.echo(rewrite.diff(changes, found.folder), nl=False)


def _told(found: Checkout, changes: tuple[rewrite.Change, ...]) -> None:
    for change in changes:
        verb = "changed" if change.before is not None else "new"
        verb = "removed" if change.after is None else verb
        click.echo(f"{verb:<9}{change.file.relative_to(found.folder)}")
    if not changes:
        Talk().say(f"nothing to do in {found.folder}")
