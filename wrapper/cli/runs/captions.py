"""`kohya-presets captions`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from kohya_presets.dataset.captioning import diff
from kohya_presets.dataset.captioning.edits import PEOPLE, Edits, Trigger, Where
from kohya_presets.loras.escape import controls
from kohya_presets.problems import plural
from wrapper.cli.options import FILE, FOLDER
from wrapper.data import caption_files
from wrapper.data.caption_files import Caption
from wrapper.data.captions import carry_out, edit, to_names
from wrapper.data.captions.steps import Move, Plan, Write

EDITS = ("first_line", "replacements", "token", "prefix")
# What each option needs to have an effect: one of these.
NEEDS = {
    "nouns": ("token",),
    "where": ("token",),
    "all_lines": ("replacements", "token", "prefix"),
    "masks": ("renaming",),
    "leave_masks": ("renaming",),
}


@click.command("captions")
@click.argument("folder", metavar="DIR", type=FOLDER, required=False)
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--overwrite", is_flag=True, help="Also replace existing captions.")
@click.option(
    "--from",
    "source",
    type=click.Choice(("names", "metadata")),
    help="Take captions from the images' names (the default), or from what the images hold.",
)
@click.option(
    "--first-line",
    is_flag=True,
    help="Keep only the first line of each caption: sd-scripts reads no other.",
)
@click.option(
    "--replace",
    "replacements",
    nargs=2,
    multiple=True,
    metavar="OLD NEW",
    help="Replace a text wherever it is in a caption (repeatable).",
)
@click.option("--trigger", "token", metavar="TOKEN", help="Add a trigger word where it is missing.")
@click.option(
    "--where",
    type=click.Choice(("before-noun", "front", "end")),
    help="Where --trigger adds it.  [default: before-noun]",
)
@click.option(
    "--noun",
    "nouns",
    multiple=True,
    metavar="WORD",
    help="What the trigger word is about: it is added before the first such word (repeatable). "
    f" [default: {', '.join(PEOPLE)}]",
)
@click.option("--prefix", default="", metavar="TEXT", help="Begin each caption with a text.")
@click.option(
    "--all-lines",
    is_flag=True,
    help="Edit every line, for enable_wildcard; not only the first.",
)
@click.option("--to-names", "renaming", is_flag=True, help="Rename the images to their captions.")
@click.option(
    "--masks",
    type=FOLDER,
    multiple=True,
    help="With --to-names: a folder of masks, to be renamed with their images (repeatable).",
)
@click.option(
    "--leave-masks", is_flag=True, help="With --to-names: rename nothing in other folders."
)
@click.option(
    "--extension",
    default=".txt",
    show_default=True,
    metavar="EXT",
    help="Ending of caption files, as caption_extension.",
)
@click.option("--undo", type=FILE, help="Put back what an action changed, from its undo file.")
def command(folder: Path | None, **options: Any) -> None:
    """Write a caption for each image in DIR, from the image's file name.

    The image `korra (1).png` gets the file `korra (1).txt` with the caption `korra`: a number that
    bulk renaming added is left out.

    Other options change captions that exist. They can be combined, and are done in this order:
    --first-line, --replace, --trigger, --prefix. Before anything is changed, an undo file is
    written and its name printed.

    \b
    Example:
        kohya-presets captions ~/pictures/korra --dry-run
        kohya-presets captions ~/pictures/korra --trigger kncr --noun woman --dry-run
        kohya-presets captions ~/pictures/korra --from metadata
    """
    _check(folder, options)
    if options["undo"]:
        _take_back(options["undo"], dry_run=options["dry_run"])
    elif folder and options["renaming"]:
        masks, leave = options["masks"], options["leave_masks"]
        extension = options["extension"]
        plan = to_names.plan(folder, extension=extension, masks=masks, leave_masks=leave)
        _change(plan, dry_run=options["dry_run"])
    elif folder and any(options[name] for name in EDITS):
        plan = edit.plan(folder, _edits(options), extension=options["extension"])
        _change(plan, dry_run=options["dry_run"])
    elif folder:
        _create(folder, options)


def _check(folder: Path | None, options: dict[str, Any]) -> None:
    """Raise UsageError where options contradict each other, or a text cannot be in a caption."""
    edits = [name for name in EDITS if options[name]]
    actions = [name for name in ("source", "renaming", "undo") if options[name]]
    if folder is None and not options["undo"]:
        raise click.UsageError("Missing argument 'DIR'.")
    if folder and options["undo"]:
        raise click.UsageError("--undo takes no DIR: the undo file names it.")
    if len(actions) + bool(edits) > 1:
        raise click.UsageError(
            "Edits, --from, --to-names and --undo cannot be combined: call them one by one."
        )
    if options["overwrite"] and (edits or options["renaming"] or options["undo"]):
        raise click.UsageError("--overwrite is for captions from names or metadata only.")
    for name, others in NEEDS.items():
        if options[name] and not any(options[other] for other in others):
            raise click.UsageError(f"{_option(name)} needs {' or '.join(map(_option, others))}.")
    _check_texts(options)


def _check_texts(options: dict[str, Any]) -> None:
    texts = [*options["nouns"], options["prefix"], *sum(options["replacements"], ())]
    for text in (*texts, options["token"] or "", options["extension"]):
        if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
            raise click.UsageError(f"{text!r} has a line end or another control character.")
    if not all(old for old, _ in options["replacements"]):
        raise click.UsageError("--replace needs a text to look for, not an empty one.")
    token = options["token"]
    if any(
        word is not None and word.strip() != (word or None) for word in (token, *options["nouns"])
    ):
        raise click.UsageError("A trigger word or noun is not empty, without spaces around it.")
    extension = options["extension"]
    if not extension.startswith(".") or set(extension) & set("/\\") or extension == ".":
        raise click.UsageError("--extension must start with a dot, as in .txt or .caption.")


def _option(name: str) -> str:
    parameter = next(p for p in command.params if p.name == name)
    return parameter.opts[0]


def _edits(options: dict[str, Any]) -> Edits:
    trigger = None
    if options["token"]:
        where: Where = options["where"] or "before-noun"
        trigger = Trigger(options["token"], where, options["nouns"] or PEOPLE)
        if where == "front":
            _tell("at the front, a trigger word stands for the whole image and is diluted (guide)")
    return Edits(
        first_line=options["first_line"],
        replacements=options["replacements"],
        trigger=trigger,
        prefix=options["prefix"],
        all_lines=options["all_lines"],
    )


def _create(folder: Path, options: dict[str, Any]) -> None:
    """Write captions from names or metadata."""
    overwrite, extension = options["overwrite"], options["extension"]
    left: tuple[tuple[Path, str], ...] = ()
    if options["source"] == "metadata":
        from wrapper.data.captions import from_metadata  # reads images: slow to import

        planned, left = from_metadata.plan(folder, overwrite=overwrite, extension=extension)
    else:
        planned = caption_files.plan(folder, overwrite=overwrite, extension=extension)
    for caption in planned:
        _show(caption)
    _tell_left(left)
    written = [caption.file for caption in planned if caption.state in ("new", "overwritten")]
    for note in edit.stale(written):
        _tell(note)
    if not options["dry_run"]:
        caption_files.write(planned, on_undo_file=_tell_undo)
    would = "would write" if options["dry_run"] else "wrote"
    click.echo(f"{would} {len(written)} of {len(planned) + len(left)} captions", err=True)


def _show(caption: Caption) -> None:
    source = f"  ({caption.source})" if caption.source else ""
    line = f"{caption.state:<11}  {controls(f'{caption.file.name}: {caption.text}')}{source}"
    click.echo(line)
    if caption.state == "overwritten":
        for line in diff.of_bytes(caption.before, caption.text.encode("utf-8", "replace")):
            click.echo(f"  {line}")


def _change(plan: Plan, *, dry_run: bool) -> None:
    """Show what an action does, and do it."""
    for step in plan.steps:
        for line in _shown(step):
            click.echo(line)
    _tell_left(plan.left)
    for note in plan.notes:
        _tell(note)
    if not dry_run:
        carry_out.carry_out(plan, on_undo_file=_tell_undo)
    moved = any(isinstance(step, Move) for step in plan.steps)
    what = plural(len(plan.steps), "file" if moved else "caption")
    verb = ("would rename" if dry_run else "renamed") if moved else None
    verb = verb or ("would change" if dry_run else "changed")
    click.echo(f"{verb} {what}; {len(plan.same)} already right; {len(plan.left)} left", err=True)


def _shown(step: Write | Move) -> Iterable[str]:
    if isinstance(step, Move):
        return diff.of_names(step.old.name, step.new.name)
    return [controls(step.file.name), *diff.of_bytes(step.before, step.after)]


def _take_back(file: Path, *, dry_run: bool) -> None:
    steps = carry_out.planned_undo(file)[1] if dry_run else carry_out.take_back(file)
    for step in steps:
        names = (step.new.name, step.old.name) if isinstance(step, Move) else (step.file.name,)
        click.echo(controls(" -> ".join(names)))
    would = "would put back" if dry_run else "put back"
    click.echo(f"{would} {plural(len(steps), 'file')}", err=True)


def _tell_left(left: Iterable[tuple[Path, str]]) -> None:
    for file, why in left:
        _tell(f"left as it is: {file.name}: {why}")


def _tell_undo(file: Path) -> None:
    click.echo(f'to undo: kohya-presets captions --undo "{controls(str(file))}"', err=True)


def _tell(text: str) -> None:
    click.echo(controls(text), err=True)
