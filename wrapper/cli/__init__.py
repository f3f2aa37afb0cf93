"""Command line. Each command reads its options, calls one function, prints the answer."""

from __future__ import annotations

import importlib
import sys

import click

from kohya_presets.errors import ProblemsError, UserError

COMMANDS = (
    "list",
    "show",
    "new",
    "diff",
    "explain",
    "validate",
    "render",
    "checkout",
    "patch",
    "gui",
    "captions",
    "lora",
    "train",
    "resume",
    "rehearse",
    "doctor",
)
INTERRUPTED = 130
# Modules that would hide a built-in name if they were called as their command.
_MODULES = {"list": "list_presets"}


class Lazy(click.Group):
    """A group that imports a command when it is used: `list` should not wait for `train`."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names in the order a user meets them."""
        return [*COMMANDS]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of the module of that name."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"wrapper.cli.{_MODULES.get(name, name)}")
        command: click.Command = module.command
        return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kohya-presets")
def cli() -> None:
    """Presets, checks and runs for kohya-ss/sd-scripts."""


def main() -> None:
    """Entry point: the only place where an error becomes text and an exit code."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        _tell(error)
        sys.exit(error.exit_code)


def _tell(error: UserError) -> None:
    click.secho(f"error: {error}", fg="red", err=True)
    if isinstance(error, ProblemsError):
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
            if problem.hint:
                click.echo(f"    hint: {problem.hint}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def _interrupted() -> None:
    click.secho("interrupted; nothing that was finished is lost", fg="yellow", err=True)
    sys.exit(INTERRUPTED)
