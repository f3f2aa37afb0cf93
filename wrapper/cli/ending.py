"""Carry a run out and say what came of it, for every command that does."""

from __future__ import annotations

import sys

import click

from kohya_presets.loras.summary import Lora
from kohya_presets.sdscripts import scripts
from wrapper.planning.memory import less_memory
from wrapper.runs import runner
from wrapper.runs.attempt import StageError
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.watching.notify import Notices, address

STANDIN = 6  # exit code: all went well, but with the stand-in and not with sd-scripts


def finish(
    run: Run,
    talk: Talk,
    notify: str | None = None,
    *,
    oom: str = "stop",
    rate: float | None = None,
) -> Lora | None:
    """Return what the run made, having said it: the file on stdout, the rest as talk.

    `notify` is the webhook of --notify; with `oom` "retry", a stage that GPU memory did not suffice
    for is tried again with less.
    """
    from wrapper.reports import along  # jinja2 and Pillow: `train --help` needs neither

    while True:
        try:
            notices = Notices(address(notify), run.name, talk.say)
            with along.kept(run.folder, talk, rate=rate, before=talk.warned) as watcher:
                made = runner.carry_out(run, watcher, notices, rate=rate)
            break
        except StageError as error:
            changed = less_memory.planned(run, error, talk) if oom == "retry" else None
            if changed is None:
                raise
            run = changed
    if run.helps:
        talk.say("this machine has trained its part; machine 0 has the files")
        return made
    lone = "a model (not a LoRA)" if run.stages[-1].expects != scripts.LORA else "a LoRA"
    talk.say(f"{run.product.name}: {made or lone}")
    click.echo(run.product)
    return made


def exit_if_standin(run: Run, talk: Talk) -> None:
    """End with an exit code of its own where the stand-in ran: a script must not overlook that."""
    if run.facts.get("sd-scripts", {}).get("standin"):
        talk.warn(
            "this rehearsal used the stand-in; rehearse again where sd-scripts can be downloaded"
        )
        sys.exit(STANDIN)
