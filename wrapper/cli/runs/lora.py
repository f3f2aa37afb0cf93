"""`kohya-presets lora`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from kohya_presets.loras.told import curve_text
from wrapper.cli.group import Group
from wrapper.cli.options import FILE, force_option, json_option, print_json
from wrapper.cli.trainer_options import site_options
from wrapper.ranks import measure
from wrapper.ranks.measure import Question
from wrapper.screen.talk import Talk
from wrapper.system import whole

# What needs numpy or jinja2 is imported where it is used: the list of commands imports this module.


@click.group("lora", cls=Group)
def command() -> None:
    """Inspect LoRAs: their content, the rank they need, their distance."""


@command.command("info")
@click.argument("file", type=FILE)
@json_option
def info(file: Path, as_json: bool) -> None:
    """Show what the LoRA in FILE contains, block by block.

    The command warns if the LoRA does not match its name or its metadata.

    \b
    Example:
        kohya-presets lora info korra-16.safetensors
    """
    _one_thread()
    from kohya_presets.loras import claims
    from kohya_presets.loras import info as infos
    from kohya_presets.loras.told import info_text

    found = infos.of(file)
    findings = claims.of(found)
    if as_json:
        print_json(info_text.values(found, findings))
    else:
        click.echo(info_text.text(found, findings), nl=False)


@command.command("diff")
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@json_option
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Measure how different the LoRAs A and B are.

    The command compares the changes that they make to the model.

    \b
    Example:
        kohya-presets lora diff korra-direct-16.safetensors korra-512-16.safetensors
    """
    _one_thread()
    from kohya_presets.loras import difference
    from kohya_presets.loras.told import difference_text

    found = difference.between(a, b)
    if as_json:
        print_json(difference_text.values(found))
    else:
        click.echo(difference_text.text(found), nl=False)


@command.command("rank")
@click.option("--base", type=FILE, required=True, help="Base model, before training.")
@click.option("--tuned", type=FILE, required=True, help="Fine-tuned model, after training.")
@click.option("--html", type=FILE, help="Also write an HTML page with a plot.")
@force_option
@click.option(
    "--conv", is_flag=True, help="Include convolutions, as extraction with conv_dim does."
)
@click.option(
    "--round-base",
    is_flag=True,
    help="First round the base to the format of the tuned model (fp16, bf16).",
)
@site_options
@json_option
def rank(
    base: Path,
    tuned: Path,
    html: Path | None,
    force: bool,
    conv: bool,
    round_base: bool,
    release: str,
    checkout: Path | None,
    python: str | None,
    as_json: bool,
) -> None:
    """Show how much of a fine-tuned model a LoRA of each rank keeps, and its file size.

    This takes a few minutes on a CPU. It needs a Python with torch: that of the chosen release or
    checkout, or --python.

    \b
    Example:
        kohya-presets lora rank --base sd_xl_base_1.0.safetensors --tuned korra.safetensors \\
            --html korra-ranks.html
    """
    if html and not force:
        whole.require_free([html])  # said before some minutes' work
    question = Question(base, tuned, conv, round_base, release, checkout, python)
    found = measure.measure(question, Talk())
    if html:
        from kohya_presets.loras.told import curve_page

        whole.write({html: curve_page.page(found, base.name, tuned.name)}, force=force)
    if as_json:
        print_json(curve_text.values(found))
    else:
        click.echo(curve_text.text(found), nl=False)


def _one_thread() -> None:
    """Let numpy, not imported yet, use one: on a busy machine, threads wait for each other.

    Measured on two cores at a load of 5, on a LoRA of rank 128: 11 s instead of 46.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")
