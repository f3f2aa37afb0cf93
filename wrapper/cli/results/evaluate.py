"""`kohya-presets evaluate`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from kohya_presets.errors import UserError
from wrapper.cli.options import DATA, FILE
from wrapper.cli.trainer_options import site_options
from wrapper.evaluation import shots

LEAST, MOST = 0.01, 5.0  # strengths
# What reads pictures is imported where it is used: it takes time.


def _strengths(_: click.Context, option: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in value.split(","))
    except ValueError:
        found = ()
    if not found or not all(LEAST <= strength <= MOST for strength in found):
        expected = f"expected strengths from {LEAST:g} to {MOST:g} like 0.8,1"
        raise click.BadParameter(f"{expected}, found {value!r}")
    return tuple(round(strength, 3) for strength in found)


def _epochs(_: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"expected epochs like 10,20, found {value!r}") from None


@click.command("evaluate")
@click.argument(
    "given", metavar="RUN|LORA...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--prompts", type=FILE, metavar="FILE", help="A file of prompts, one on each line.")
@click.option(
    "--data", type=DATA, metavar="DIR|FILE", help="The training images, if not those of the run."
)
@click.option("--trigger", metavar="TOKEN", help="The word that calls the concept.")
@click.option("--noun", metavar="WORD", help='What stands for the trigger without it: "woman".')
@click.option("--epochs", callback=_epochs, metavar="N,N", help="Only the LoRAs of these epochs.")
@click.option(
    "--strengths",
    callback=_strengths,
    default=",".join(f"{strength:g}" for strength in shots.STRENGTHS),
    show_default=True,
    metavar="N,N",
    help="Strengths of the last LoRA; the others are drawn at 1.",
)
@click.option(
    "--sampler", default=shots.SAMPLER, show_default=True, metavar="NAME", help="Sampler."
)
@click.option(
    "--steps", type=click.IntRange(1, 1000), default=shots.STEPS, show_default=True, help="Steps."
)
@click.option("--scale", type=float, default=shots.SCALE, show_default=True, help="Guidance scale.")
@click.option("--size", type=click.IntRange(min=64), metavar="PIXELS", help="Sides of a square.")
@click.option("--base", metavar="MODEL", help="With LORA: the base model, as for train.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="With LORA: where to write."
)
@site_options
@click.option("--dry-run", is_flag=True, help="Tell how many pictures it takes, and make none.")
def command(
    given: tuple[Path, ...],
    prompts: Path | None,
    data: Path | None,
    trigger: str | None,
    noun: str | None,
    epochs: tuple[int, ...],
    strengths: tuple[float, ...],
    sampler: str,
    steps: int,
    scale: float,
    size: int | None,
    base: str | None,
    out: Path | None,
    release: str,
    checkout: Path | None,
    python: str | None,
    dry_run: bool,
) -> None:
    """Make pictures with the base and each LoRA, and a page that shows which one to keep.

    sd-scripts' own script makes them, on the GPU. What is there already is not made again, so a
    stopped evaluation goes on where it was. The page compares epochs and strengths, shows the
    training image that is nearest to each picture, and says what was measured.

    \b
    Example:
        kohya-presets evaluate runs/korra
        kohya-presets evaluate korra-*.safetensors --base sd_xl_base_1.0.safetensors \\
            --data ~/pictures/korra --out korra-evaluation
    """
    from wrapper.evaluation import evaluate, judged, site
    from wrapper.evaluation.evaluate import Asked
    from wrapper.evaluation.page import sheet
    from wrapper.reports import page as report
    from wrapper.runs import manifest
    from wrapper.screen.talk import Talk

    asked = Asked(
        prompts,
        data,
        trigger,
        noun,
        strengths,
        epochs,
        sampler,
        steps,
        scale,
        size,
    )
    talk = Talk()
    run = None
    if gone := [str(name) for name in given if not name.exists()]:
        raise UserError(f"{gone[0]} does not exist", hint="Give the folder of a run, or LoRAs.")
    if len(given) > 1 and any(name.is_dir() for name in given):
        raise UserError("expected one run, or several LoRAs", hint="Evaluate one run at a time.")
    if len(given) == 1 and (given[0] / manifest.NAME).is_file():
        if base or out or checkout or python:
            raise UserError("--base, --out, --checkout and --python are for LoRAs without a run")
        run = manifest.read(given[0])
        evaluation = evaluate.of_run(run, asked, talk)
    else:
        if not base or not out:
            hint = "Or give the folder of a run, for example runs/NAME."
            raise UserError("LoRAs without a run need --base and --out", hint=hint)
        where = site.asked(base, release, checkout, python, talk)
        evaluation = evaluate.of_loras(given, out, where, asked, talk)
    talk.say(evaluation.said())
    if dry_run:
        return
    evaluation.make(talk)
    result = judged.of(evaluation)
    judged.write(result)
    talk.say(result.recommendation.reason)
    if evaluation.site.small:
        talk.say("It was a rehearsal: its pictures are noise, and so is what is said of them.")
    click.echo(sheet.write(result))
    if run is not None:
        with contextlib.suppress(UserError):  # somebody else's file in its place
            report.write(run.folder)
