"""What `extract` and `resize` share: their words, their options, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kohya_presets.errors import UserError
from wrapper.cli.options import Decorated, force_option, presets, presets_and_files, set_option
from wrapper.cli.trainer_options import site_options
from wrapper.conversions import carry_out, ready
from wrapper.conversions.carry_out import Job
from wrapper.conversions.ready import Request
from wrapper.screen.talk import Talk

_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")  # words that are no preset


def converting_options(function: Decorated) -> Decorated:
    """Add [PRESET] [FILE]..., --out, --set, --force and which sd-scripts is used."""
    words = click.argument(
        "words", nargs=-1, metavar="[PRESET] [FILE]...", shell_complete=presets_and_files
    )
    out = click.option(
        "--out",
        type=click.Path(path_type=Path),
        required=True,
        help="File to write (.safetensors), or a folder, where names end with the rank.",
    )
    skip = click.option(
        "--skip-existing", "skip", is_flag=True, help="Leave out files whose LoRA exists already."
    )
    return words(out(set_option(force_option(skip(site_options(function))))))


def request(
    tool: str,
    words: Sequence[str],
    files: Sequence[Path],
    overrides: tuple[str, ...],
    **asked: Any,
) -> Request:
    """Return what is asked for; `words` are a preset, and files after the one of an option.

    `asked` are the options as `Request` calls them.
    """
    more = [word for word in words if Path(word).suffix.lower() in _FILES]
    named = [word for word in words if word not in more]
    if len(named) > 1:
        raise click.UsageError(f"Expected one preset, found {' and '.join(named)}.")
    idle = [given for given in overrides if not given.startswith((f"{tool}.", f"{tool}="))]
    if idle:
        raise UserError(
            f"--set {idle[0]} has no effect here", hint=f"{tool} uses the settings {tool}.* only."
        )
    name = named[0] if named else ready.DEFAULTS[tool]
    preset = presets().load(name, overrides=overrides)
    sources = tuple(dict.fromkeys((*files, *map(Path, more))))
    return Request(preset, not named, sources, **asked)


def finish(jobs: Sequence[Job], talk: Talk) -> None:
    """Carry all out; each file on stdout as soon as it is there, the rest as talk."""
    for job, lora in carry_out.every(jobs, talk):
        talk.say(f"{lora.file.name}: {lora}")
        if job.tool == "extract" and not (lora.text_encoder_1 and lora.text_encoder_2):
            talk.warn(
                f"{lora.file.name} has no modules for the text encoders: in {job.source.name} they "
                "are those of the base, or changed by less than extract.min_diff"
            )
        click.echo(lora.file)
