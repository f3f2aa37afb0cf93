"""`kohya-presets gui`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from kohya_presets.gui import report
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import fields
from wrapper.cli import checked
from wrapper.cli.group import Group
from wrapper.cli.options import FILE, FOLDER, force_option, preset_argument, presets, set_option
from wrapper.export import gui_files
from wrapper.system import whole


@click.group("gui", cls=Group)
def command() -> None:
    """Move presets into the Kohya GUI (bmaltais/kohya_ss) and back."""


@command.command("export")
@preset_argument()
@click.option("--gui", metavar="TAG", help="GUI version to write for.  [default: the newest known]")
@click.option("--out", type=FILE, help="File to write.  [default: print it]")
@click.option(
    "--install",
    type=FOLDER,
    help="Kohya GUI folder to install into; its version is detected.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="Image folder; also writes a dataset config and refers to it.",
)
@force_option
@set_option
def export(
    preset: str,
    gui: str | None,
    out: Path | None,
    install: Path | None,
    data: Path | None,
    force: bool,
    overrides: tuple[str, ...],
) -> None:
    """Write PRESET as a settings file of the Kohya GUI.

    The command also lists the settings that this version of the GUI cannot express.

    \b
    Example:
        kohya-presets gui export skynet --install ~/kohya_ss
        kohya-presets gui export lion --gui v24.1.7 --out lion.json
    """
    if install and (out or gui):
        raise click.UsageError(
            "--install finds the version and the file. Leave out --gui and --out."
        )
    if data and not (out or install):
        raise click.UsageError("--data writes a second file. Add --out FILE or --install FOLDER.")
    found, settings = checked.preset(preset, overrides)
    if install:
        there = gui_files.installed(install)
        tag, out = there.tag, gui_files.target(found, there)
        click.echo(
            f"found a Kohya GUI {'' if there.is_exact else 'like '}{tag} in {install}", err=True
        )
    else:
        tag = fields.find(gui) if gui else fields.tags()[-1]
    file = out.expanduser().resolve() if out else Path(f"{found.name}.json")
    made = gui_files.made(found, tag, file, settings.additions, data=data)
    _tell(f"{found.name} for the {made.exported.tab.name} tab of {tag}", made.exported.report)
    if out is None:
        click.echo(made.exported.text, nl=False)
        return
    for written in whole.write(made.files, force=force):
        click.echo(written)
    steps = gui_files.patching_step(found)
    if install:
        has_data = data is not None
        steps = gui_files.next_steps(made.exported, found, file, install, has_data=has_data)
    for step in steps:
        click.echo(step, err=True)


@command.command("import")
@click.argument("file", type=FILE)
@click.option("--name", metavar="NAME", help="Name of the preset.  [default: the file's name]")
@click.option("--out", type=FILE, help="Preset file to write.  [default: print it]")
@force_option
@click.option(
    "--all", "all_", is_flag=True, help="Also list settings that were imported unchanged."
)
def import_(file: Path, name: str | None, out: Path | None, force: bool, all_: bool) -> None:
    """Make a preset from FILE, a settings file of the Kohya GUI.

    FILE may also be a config.toml of sd-scripts, a JSON file with sd-scripts' own options, or a
    TOML file of the GUI's next version.

    \b
    Example:
        kohya-presets gui import "SDXL - LoRA adafactor v1.0.json" --out presets/adafactor.toml
    """
    additions = checked.additions()
    found = gui_files.imported(file.expanduser(), name, additions)
    _tell(f"{file.name}, {found.read_as}", found.report, all_=all_)
    made = found.usable()
    text = gui_files.text(made, presets(), additions)
    if out is None:
        click.echo(text, nl=False)
    else:
        for written in whole.write({out.expanduser(): text}, force=force):
            click.echo(written)
    for number, fault in enumerate(gui_files.faults(made, additions)):
        if not number:
            click.echo("Fix these errors in the preset before you render it or train:", err=True)
        click.echo(f"  {fault.where.key}: {fault.message}", err=True)


def _tell(subject: str, items: Iterable[Item], *, all_: bool = False) -> None:
    items = tuple(items)
    click.echo(f"{subject}: {report.counts(items) or 'every setting carried over'}", err=True)
    for line in report.told(items, all_=all_):
        click.echo(f"  {line}", err=True)
