"""`kohya-presets prompts`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import DATA, FILE, force_option
from wrapper.system import whole

# What reads images and captions is imported where it is used: it takes time.


@click.command("prompts")
@click.argument("data", metavar="DIR|FILE|RUN", type=DATA)
@click.option("--trigger", metavar="TOKEN", help="The word that calls the concept.")
@click.option("--noun", metavar="WORD", help='What stands for the trigger without it: "woman".')
@click.option("--negative", metavar="TEXT", help="A negative prompt for all pictures.")
@click.option("--steps", type=click.IntRange(1, 1000), metavar="NUMBER", help="Steps of a picture.")
@click.option("--scale", type=click.FloatRange(min=0), metavar="NUMBER", help="Guidance scale.")
@click.option(
    "--size", type=click.IntRange(min=64), default=None, metavar="PIXELS", help="Sides of a square."
)
@click.option("--out", type=FILE, metavar="FILE.txt", help="Write them to this file.")
@force_option
def command(
    data: Path,
    trigger: str | None,
    noun: str | None,
    negative: str | None,
    steps: int | None,
    scale: float | None,
    size: int | None,
    out: Path | None,
    force: bool,
) -> None:
    """Make prompts that show how good a model is, from the captions of its images.

    Captions word for word, variations of them, the trigger in other scenes, the same scenes without
    it, and generic ones. sd-scripts reads the file (--samples FILE), `evaluate` too.

    \b
    Example:
        kohya-presets prompts ~/pictures/korra --trigger korra --noun woman --out prompts.txt
        kohya-presets prompts runs/korra
    """
    from kohya_presets.prompts import made
    from wrapper.evaluation import captions, shots
    from wrapper.screen.talk import Talk

    if out and not force:
        whole.require_free([out])
    found = captions.of(data)
    talk = Talk()
    if trigger is None and (trigger := made.trigger_of(found.texts)):
        talk.say(f"taken for the trigger: {trigger!r}; it is in nearly every caption")
    size = size and shots.side(size)
    wish = captions.wish(found, size, steps=steps, scale=scale, negative=negative)
    text = made.text(made.made(found.texts, trigger, noun, wish), len(found.texts), trigger)
    if out is None:
        click.echo(text, nl=False)
        return
    whole.put({out: text.encode("utf-8")})
    click.echo(out)
