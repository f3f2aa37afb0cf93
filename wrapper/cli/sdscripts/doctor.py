"""`kohya-presets doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kohya_presets.problems import errors
from wrapper.cli.options import json_option, print_json
from wrapper.cli.trainer_options import site_options
from wrapper.environments import doctor
from wrapper.screen.talk import Talk


@click.command("doctor")
@site_options
@json_option
def command(release: str, checkout: Path | None, python: str | None, as_json: bool) -> None:
    """Check the Python, torch, GPU and driver that a run would use.

    The command downloads and changes nothing. If there are errors, the exit code is 1.

    \b
    Example:
        kohya-presets doctor --checkout ~/kohya_ss --python ~/kohya_ss/venv/bin/python
    """
    findings = doctor.examine(release, checkout, python)
    if as_json:
        print_json(findings.as_json())
    else:
        for name, value in findings.facts.items():
            click.echo(f"{name:<14}{value}")
        Talk().problems(findings.problems)
    if errors(findings.problems):
        sys.exit(1)
