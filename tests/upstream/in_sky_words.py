"""Run in SkyPilot's own Python: does its command line take these words? The argument is JSON."""

import json
import sys

import click
from sky.client.cli import command as cli

for words in json.loads(sys.argv[1]):
    command, rest = cli.cli, [*words]
    context = click.Context(command, info_name="sky")
    while isinstance(command, click.Group):
        command = command.get_command(context, rest.pop(0))
        if command is None:
            raise SystemExit(f"sky has no command {words}")
    command.make_context(command.name, rest, parent=context)
print(len(json.loads(sys.argv[1])))
