"""`kohya-presets patch`."""

from __future__ import annotations

from pathlib import Path

import click

from kohya_presets.errors import UserError
from kohya_presets.problems import listed, paragraph
from kohya_presets.sdscripts import releases
from patches import registry
from wrapper.checkouts import checkout as checkouts
from wrapper.checkouts import patchwork, trees
from wrapper.checkouts.checkout import Checkout
from wrapper.cli.group import Group
from wrapper.cli.options import FOLDER, Decorated, json_option, print_json
from wrapper.planning import trainer
from wrapper.screen.talk import Talk
from wrapper.system import paths, rewrite

NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)


def _where(function: Decorated) -> Decorated:
    """Add --checkout and --release."""
    for option in (
        click.option("--checkout", type=FOLDER, help="Folder of sd-scripts or a Kohya GUI."),
        click.option(
            "--release",
            default=releases.DEFAULT,
            show_default=True,
            metavar="TAG|COMMIT",
            help="Downloaded release to use without --checkout.",
        ),
    ):
        function = option(function)
    return function


@click.group("patch", cls=Group)
def command() -> None:
    """Add patches to sd-scripts or a Kohya GUI, and remove them."""


@command.command("list")
def listing() -> None:
    """List the patches: the shipped ones, then your own.

    Your own patches are in the folder `patches` of the user data folder.

    \b
    Example:
        kohya-presets patch list
    """
    every = registry.every(paths.user_patches())
    width = max((len(patch.name) for patch in every), default=0) + 1
    for patch in every:
        click.echo(f"{patch.name:<{width}}{patch.summary}")
    _tell_broken()


@command.command("apply")
@NAMES
@_where
def apply(names: tuple[str, ...], checkout: Path | None, release: str) -> None:
    """Add patches to sd-scripts or a Kohya GUI.

    NAME is the name of a patch, or its folder. If one patch does not fit, no file is changed. A
    downloaded release is not changed: a copy of it gets the patches, and the folder is printed.

    \b
    Example:
        kohya-presets patch apply ema adacoor --checkout ~/kohya_ss
    """
    wanted = [registry.find(name, paths.user_patches()) for name in names]
    talk = Talk()
    found = trainer.checkout_for(release, checkout, talk)
    if found.is_ours:
        click.echo(trees.with_patches(found, wanted, on_step=talk.say).folder)
        return
    with rewrite.alone(found.folder):
        changes = patchwork.applying(found, wanted)
        rewrite.carry_out(changes)
    _told(found, changes)


@command.command("revert")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@_where
@click.option("--force", is_flag=True, help="Also discard your edits inside the patch's blocks.")
@click.option("--even-edited", "force", is_flag=True, hidden=True)  # its name until version 0.1
def revert(names: tuple[str, ...], checkout: Path | None, release: str, force: bool) -> None:
    """Remove patches; without a NAME, all of them.

    Your own edits outside the patch's blocks stay. The copies with patches of a downloaded release
    are deleted by `checkout clean`.

    \b
    Example:
        kohya-presets patch revert --checkout ~/kohya_ss
    """
    found = trainer.checkout_for(release, checkout, Talk())
    if found.is_copy:
        hint = "Delete it with `kohya-presets checkout clean`."
        raise UserError(f"{found.folder} is a copy made for its patches", hint=hint)
    with rewrite.alone(found.folder):
        there = patchwork.carried(found)
        for name in names:
            if Path(name).name not in there:
                registry.find(name, paths.user_patches())  # says so where there is no such patch
        wanted = [Path(name).name for name in names] or sorted(there)
        changes = patchwork.reverting(found, wanted, even_edited=force)
        rewrite.carry_out(changes)
    _told(found, changes)


@command.command("status")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@_where
@json_option
def status(names: tuple[str, ...], checkout: Path | None, release: str, as_json: bool) -> None:
    """Show which patches sd-scripts or a Kohya GUI has.

    \b
    Example:
        kohya-presets patch status --checkout ~/kohya_ss
    """
    found = trainer.checkout_for(release, checkout, Talk())
    own = paths.user_patches()
    wanted = [registry.find(name, own) for name in names] or registry.every(own)
    states = [patchwork.status(found, patch) for patch in wanted]
    if as_json:
        print_json({"patches": [vars(state) for state in states]})
        return
    click.echo(f"{found.folder}: sd-scripts {found.name}")
    width = max((len(state.patch) for state in states), default=0) + 1
    for state in states:
        click.echo(f"{state.patch:<{width}}{state.state}{f': {state.why}' if state.why else ''}")
    for copy in checkouts.copies(found.place) if found.place and not found.is_copy else ():
        carries = listed([name for name, _ in copy.patches] or ["no patches"])
        click.echo(f"a copy with {carries}: {copy.folder}")
    if not names:
        _tell_broken()


@command.command("diff")
@NAMES
@_where
def diff(names: tuple[str, ...], checkout: Path | None, release: str) -> None:
    """Print the changes that patches would make, as a diff for `git apply`.

    \b
    Example:
        kohya-presets patch diff ema --checkout ~/kohya_ss > ema.diff
    """
    wanted = [registry.find(name, paths.user_patches()) for name in names]
    found = trainer.checkout_for(release, checkout, Talk())
    changes = patchwork.applying(found, wanted)
    click.echo(rewrite.diff(changes, found.folder), nl=False)


def _tell_broken() -> None:
    """List the patches that cannot be used, each with its faults."""
    for error in registry.broken(paths.user_patches()):
        click.echo(f"cannot be used: {error}")
        for problem in error.problems:
            click.echo(paragraph(problem, indent="  "))


def _told(found: Checkout, changes: tuple[rewrite.Change, ...]) -> None:
    for change in changes:
        verb = "changed" if change.before is not None else "new"
        verb = "removed" if change.after is None else verb
        click.echo(f"{verb:<9}{change.file.relative_to(found.folder)}")
    if not changes:
        more = ": the patches are in copies, see `kohya-presets checkout list`"
        Talk().say(f"nothing to do in {found.folder}{more if found.is_ours else ''}")
