"""A group of commands that shows whole sentences and knows what a mistyped command was to be."""

from __future__ import annotations

import inspect

import click

from kohya_presets.problems import did_you_mean


class Group(click.Group):
    """A group of commands, in the order they were written."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the whole first sentence of its help."""
        commands = [(name, self.get_command(context, name)) for name in self.list_commands(context)]
        rows = [(name, first_sentence(command)) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names in the order the commands were written."""
        return [*self.commands]

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with; for a mistyped one, name the nearest."""
        name = args[0]
        known = self.get_command(context, name) is not None or context.resilient_parsing
        if not known and not name.startswith("-"):
            hint = did_you_mean(name, self.list_commands(context))
            hint = hint or f"`{context.command_path} --help` lists the commands."
            raise click.UsageError(f"There is no command {name!r}. {hint}", context)
        return super().resolve_command(context, args)


def first_sentence(command: click.Command) -> str:
    """Return the first sentence of a command's help, on one line."""
    first = inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")
    return first.partition(". ")[0].removesuffix(".") + "."
