"""Carry a run out and say what came of it, for every command that does."""

from __future__ import annotations

import click

from kohya_presets.lora import Lora
from wrapper import runner
from wrapper.manifest import Run
from wrapper.talk import Talk


def finish(run: Run, talk: Talk) -> Lora | None:
    """Return what the run made, having said it: the file on stdout, the rest as talk."""
    made = runner.carry_out(run, talk)
    talk.say(f"{run.product.name}: {made}" if made else f"{run.product.name}: a model, no LoRA")
    click.echo(run.product)
    return made
