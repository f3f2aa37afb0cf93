"""Carry a run out and say what came of it, for every command that does."""

from __future__ import annotations

import click

from kohya_presets import trainers
from kohya_presets.loras.summary import Lora
from wrapper import runner
from wrapper.manifest import Run
from wrapper.talk import Talk


def finish(run: Run, talk: Talk) -> Lora | None:
    """Return what the run made, having said it: the file on stdout, the rest as talk."""
    made = runner.carry_out(run, talk)
    lone = "a model, no LoRA" if run.stages[-1].expects != trainers.LORA else "a LoRA"
    talk.say(f"{run.product.name}: {made or lone}")
    click.echo(run.product)
    return made
