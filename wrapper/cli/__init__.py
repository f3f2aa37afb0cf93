"""Command line. Each command reads its options, calls one function, prints the answer."""

from __future__ import annotations

import importlib
import io
import sys

import click
from click.shell_completion import CompletionItem

from kohya_presets import secrets
from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.problems import paragraph
from wrapper.cli.group import Group

INTERRUPTED = 130
# Each command's module below this package and the first sentence of its help: the list of all
# commands is printed without importing any of them. tests/wrapper/cli keeps the sentences true.
SECTIONS = {
    "Presets": {
        "list": ("presets.list_presets", "List the presets: the shipped ones, then your own."),
        "show": ("presets.show", "Print all settings of PRESET, with those it inherits."),
        "new": ("presets.new", "Create a preset from another one, with the changes of --set."),
        "diff": ("presets.diff", "Compare preset OLD with preset NEW, setting by setting."),
        "explain": (
            "presets.explain",
            "Explain an option: what it does, the guide's advice, and each preset's value.",
        ),
        "validate": (
            "presets.validate",
            "Check presets, or sd-scripts' own TOML files, before you pay for a GPU.",
        ),
        "render": (
            "presets.render",
            "Write the files that sd-scripts reads: config.toml, dataset.toml and command.txt.",
        ),
    },
    "Training": {
        "dataset": (
            "runs.dataset",
            "Check images and captions before you pay for a GPU.",
        ),
        "captions": (
            "runs.captions",
            "Write a caption for each image in DIR, from the image's file name.",
        ),
        "rehearse": (
            "runs.rehearse",
            "Test the whole job of PRESET with a tiny SDXL model, on this computer's CPU.",
        ),
        "train": ("runs.train", "Train with PRESET, extract the LoRA, and resize it."),
        "resume": ("runs.resume", "Continue RUN at the first stage that is not done."),
        "prompts": (
            "results.prompts",
            "Make prompts that show how good a model is, from the captions of its images.",
        ),
        "evaluate": (
            "results.evaluate",
            "Make pictures with the base and each LoRA, and a page that shows which one to keep.",
        ),
        "extract": (
            "runs.extract",
            "Extract a LoRA from each fine-tuned SDXL model that you have.",
        ),
        "resize": ("runs.resize", "Resize LoRAs that you have to a smaller rank."),
        "runs": (
            "runs.runs",
            "Show what runs do and have made, and delete what you no longer need.",
        ),
        "report": (
            "results.report",
            "Write one HTML page about RUN: what was trained, its samples, curves and costs.",
        ),
        "lora": ("runs.lora", "Inspect LoRAs: their content, the rank they need, their distance."),
        "card": (
            "results.card",
            "Write the model page of a LoRA: for CivitAI, for Hugging Face, and as Markdown.",
        ),
    },
    "Renting a GPU": {
        "plan": (
            "renting.plan",
            "Tell what training takes before you pay for it: steps, GPU memory, disk, hours and "
            "money.",
        ),
        "pack": (
            "renting.pack",
            "Pack all that another machine needs to train with PRESET, or what RUN was started "
            "with.",
        ),
        "unpack": (
            "renting.unpack",
            "Unpack FILE, which `pack` made, into a folder, and compare every file with its hash.",
        ),
        "export": (
            "renting.export",
            "Write the files that train PRESET on a rented GPU: commands, start script and pack.",
        ),
        "prepare": (
            "renting.prepare",
            "Download what RUN of another machine needs to go on here: sd-scripts and base model.",
        ),
    },
    "sd-scripts and the Kohya GUI": {
        "doctor": (
            "sdscripts.doctor",
            "Check the Python, torch, GPU and driver that a run would use.",
        ),
        "checkout": ("sdscripts.checkout", "Manage downloaded sd-scripts releases."),
        "home": ("sdscripts.home", "Show what downloads and environments take, and delete them."),
        "patch": ("sdscripts.patch", "Add patches to sd-scripts or a Kohya GUI, and remove them."),
        "gui": ("sdscripts.gui", "Move presets into the Kohya GUI (bmaltais/kohya_ss) and back."),
    },
}
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}  # columns
COMMANDS = {name: told for section in SECTIONS.values() for name, told in section.items()}


class Lazy(Group):
    """A group that imports a command when it is used: `list` should not wait for `train`."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names in the order a user meets them."""
        return [*COMMANDS]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of the module of that name."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"wrapper.cli.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return command

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, from the table above, and then the options."""
        begun = [name for name in COMMANDS if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=COMMANDS[name][1]) for name in begun]
        return commands + click.Command.shell_complete(self, context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, from the table above."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, sentence) for name, (_, sentence) in section.items()])


@click.group(cls=Lazy, context_settings=HELP)
@click.version_option(package_name="kohya-presets")
def cli() -> None:
    """Presets, checks and runs for fine-tuning SDXL with kohya-ss/sd-scripts.

    `kohya-presets COMMAND --help` shows the options of a command, with an example.
    """


def main() -> None:
    """Entry point: the only place where an error becomes text and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that its encoding lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(prog_name="kohya-presets", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.secho(INTERRUPTED_TEXT, fg="yellow", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        _tell_usage(error)
        sys.exit(error.exit_code)
    except UserError as error:
        _tell(error)
        sys.exit(error.exit_code)


_PRESETS = ("preset", "old", "new", "names", "parent")  # arguments that are presets
INTERRUPTED_TEXT = (
    "Interrupted. A run continues with `kohya-presets resume RUN`, any other command when it is "
    "started again."
)


def _tell_usage(error: click.ClickException) -> None:
    """Say wrong usage as any other error: what is wrong, then what to do."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or error.message == context.get_help():  # no command at all: the help
        error.show()
        return
    click.echo(context.get_usage(), err=True)
    click.secho(f"error: {secrets.masked(error.format_message())}", fg="red", err=True)
    click.echo(f"hint: {_usage_hint(error, context)}", err=True)


def _usage_hint(error: click.ClickException, context: click.Context) -> str:
    see = f"`{context.command_path} --help` shows the options, with an example."
    name = error.param.name if isinstance(error, click.MissingParameter) and error.param else None
    return f"`kohya-presets list` shows the presets. {see}" if name in _PRESETS else see


def _tell(error: UserError) -> None:
    click.secho(f"error: {secrets.masked(str(error))}", fg="red", err=True)
    for problem in error.problems if isinstance(error, ProblemsError) else ():
        click.echo(paragraph(problem, indent="  "), err=True)
    if error.hint:
        click.echo(f"hint: {secrets.masked(error.hint)}", err=True)
