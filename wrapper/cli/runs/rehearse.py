"""`kohya-presets rehearse`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.ending import finish
from wrapper.cli.options import FOLDER, ignore_option, presets, runs_option, set_option
from wrapper.cli.trainer_options import site_options
from wrapper.runs import prepare_rehearsal
from wrapper.runs.prepare_rehearsal import Rehearsal
from wrapper.runs.request import Request
from wrapper.screen.talk import Talk


@click.command("rehearse")
@click.argument("preset")
@click.option("--data", type=FOLDER, help="Rehearse with some of these images.")
@runs_option
@site_options
@click.option("--standin", is_flag=True, help="With our stand-in scripts, not with sd-scripts.")
@set_option
@ignore_option
def command(
    preset: str,
    data: Path | None,
    runs: Path,
    release: str,
    checkout: Path | None,
    python: str | None,
    standin: bool,
    overrides: tuple[str, ...],
    ignore: tuple[str, ...],
) -> None:
    """Run the whole job of PRESET on a miniature SDXL, with the real scripts, on this CPU.

    \b
    Example:
        kohya-presets rehearse skynet
    """
    found = presets().load(preset, overrides=overrides)
    name = f"rehearsal-{found.name}"
    request = Request(found, name, runs, release, checkout, python, data, standin, ignore)
    talk = Talk()
    ready = prepare_rehearsal.ready(request, talk)
    talk.say(f"rehearsing {found.name} with {_whose(ready)}, replaced for it:")
    for replaced in ready.replaced:
        talk.say(f"  {replaced}")
    finish(ready.run, talk)
    talk.say("proved:")
    for line in prepare_rehearsal.proved(ready.run, ready.standin):
        talk.say(f"  + {line}")
    talk.say("not proved:")
    for line in prepare_rehearsal.not_proved(found, ready.standin):
        talk.say(f"  - {line}")
    if ready.standin:
        talk.warn("this was the stand-in; rehearse again where sd-scripts can be reached")


def _whose(ready: Rehearsal) -> str:
    if ready.standin:
        return "the stand-in"
    facts = ready.run.facts["sd-scripts"]
    name = f"sd-scripts {facts['release'] or facts['commit'] or facts['folder']}"
    return f"{name}, patched ({', '.join(facts['patches'])})" if facts["patches"] else name
