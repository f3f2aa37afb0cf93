"""Carry a run out and say what came of it, for every command that does."""

from __future__ import annotations

import click

from kohya_presets.loras.summary import Lora
from kohya_presets.sdscripts import scripts
from wrapper.runs import runner
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk


def finish(run: Run, talk: Talk) -> Lora | None:
    """Return what the run made, having said it: the file on stdout, the rest as talk."""
    made = runner.carry_out(run, talk)
    lone = "a model (not a LoRA)" if run.stages[-1].expects != scripts.LORA else "a LoRA"
    talk.say(f"{run.product.name}: {made or lone}")
    click.echo(run.product)
    return made
