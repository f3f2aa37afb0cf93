"""What a card is about: the LoRA of a run, or a LoRA file alone, and what is known of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.cards import evaluated, facts
from kohya_presets.cards.evaluated import Evaluation
from kohya_presets.cards.facts import Facts
from kohya_presets.errors import UserError
from kohya_presets.loras import escape, info, modules, summary, weights
from kohya_presets.sdscripts import scripts
from wrapper.cards import from_run
from wrapper.cards.from_run import Picture
from wrapper.runs import manifest
from wrapper.runs.manifest import Run
from wrapper.system import proc

CARD = "card"  # a folder of a run
EVALUATION = "evaluation"
_EPOCH = re.compile(r"-(\d{6})$")  # as sd-scripts ends the name of what it saves on the way
_MADE_UP = re.compile(r"LoRA@[\d.]+")  # sd-scripts' title where nobody gave one


@dataclass(frozen=True)
class About:
    """A LoRA, and what is known of it; `run` is None for a file alone.

    `known` are words for `card.toml` that somebody wrote already. `pictures` are the best first.
    """

    file: Path
    facts: Facts
    metadata: Mapping[str, str]
    folder: Path  # where its card belongs, unless the user says otherwise
    run: Run | None
    evaluation: Evaluation | None
    pictures: tuple[Picture, ...]
    known: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def of(subject: Path) -> About:
    """Return what is known of a run's LoRA, or of a LoRA file; one in a run has the run's facts.

    Raises:
        UserError: there is no such run or file, it is no LoRA, or the run has made none yet.
    """
    subject = subject.expanduser().resolve()
    if not subject.is_file():
        if not subject.exists():
            raise UserError(
                f"{subject} does not exist",
                hint="Give the folder of a run, for example runs/NAME, or a LoRA file.",
            )
        run = manifest.read(subject)
        return _of_run(run, _product(run))
    folder = home_of(subject)
    return _of_run(manifest.read(folder), subject) if folder else _alone(subject)


def home_of(file: Path) -> Path | None:
    """Return the run that a file lies in."""
    inside = (f for f in file.resolve().parents if (f / manifest.NAME).is_file())
    return next(inside, None)


def _product(run: Run) -> Path:
    stage = run.stages[-1]
    if stage.expects != "a LoRA":
        raise UserError(
            f"the run {run.folder} makes no LoRA: its preset extracts none",
            hint="Extract one with `kohya-presets extract`, then give its file.",
        )
    if not run.product.is_file():
        hint = proc.our_line("resume", run.folder)
        raise UserError(
            f"the run {run.folder} has no LoRA yet: {run.product.name} is missing",
            hint=f"Finish it with `{hint}`, or give a LoRA file.",
        )
    return run.product


def _alone(file: Path) -> About:
    found, metadata = _read(file)
    known = _known(found, metadata, None)
    return About(file, found, metadata, file.parent / f"{file.stem}-card", None, None, (), known)


def _of_run(run: Run, file: Path) -> About:
    found, metadata = _read(file)
    preset = from_run.preset_of(run)
    is_product = file == run.product
    epoch = 0 if is_product else _epoch(file)
    found = replace(from_run.facts_of(found, run, preset, is_product), epoch=epoch)
    evaluation = _evaluation(run.folder, file.stem)
    pictures = tuple(_evaluated(run.folder, evaluation)) if evaluation else ()
    if not pictures:
        pictures = tuple(from_run.samples_of(run, preset, epoch))
        by = (
            ""
            if scripts.makes_lora(from_run.script_of(preset))
            else " by the fine-tuned model itself"
        )
        found = replace(found, sampled_with=f"during training{by}" if pictures else "")
    known = _known(found, metadata, evaluation)
    warnings = tuple(_warnings(run, file, evaluation))
    # Each LoRA has a page of its own: that of one epoch is no later version of the last one's.
    folder = run.folder / (CARD if is_product else f"{CARD}-{file.stem}")
    return About(file, found, metadata, folder, run, evaluation, pictures, known, warnings)


def _read(file: Path) -> tuple[Facts, Mapping[str, str]]:
    lora = summary.describe(file)
    header = weights.read(file)
    metadata = {key: value for key, value in lora.metadata.items() if isinstance(value, str)}
    counts = {
        "U-Net": lora.unet,
        "text encoder 1": lora.text_encoder_1,
        "text encoder 2": lora.text_encoder_2,
    }
    found = facts.of_metadata(
        file.stem,
        file.name,
        metadata,
        size=lora.size,
        weights_sha256=weights.data_sha256(header),
        rank=lora.rank,
        precision=lora.precision,
        parts=tuple(part for part, count in counts.items() if count),
        shapes_of=info.shapes_of(modules.of(header).all),
    )
    return found, metadata


def _evaluation(folder: Path, model: str) -> Evaluation | None:
    values = _json(folder / EVALUATION / "evaluation.json")
    return evaluated.of(values, model)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {file}: {error}", hint="Run `kohya-presets evaluate` again."
        ) from None


def _evaluated(folder: Path, found: Evaluation) -> Iterator[Picture]:
    inside = (folder / EVALUATION).resolve()
    for shown in found.shown:
        file = (inside / shown.file).resolve()
        if file.is_relative_to(inside) and file.is_file():
            made = replace(found.sampling, strength=shown.strength)
            yield Picture(file, shown.prompt, shown.seed, made)


def _known(
    found: Facts, metadata: Mapping[str, str], evaluation: Evaluation | None
) -> dict[str, str]:
    """Return words that somebody wrote already: in the LoRA's metadata, or for `evaluate`."""
    said = {
        key: metadata.get(f"modelspec.{key}", "").strip()
        for key in ("title", "description", "author", "license")
    }
    titled = said["title"] if not _MADE_UP.fullmatch(said["title"]) else ""
    trigger = (evaluation.trigger if evaluation else "") or metadata.get(
        "modelspec.trigger_phrase", ""
    )
    return {
        **said,
        "title": found.name if found.preset else titled or found.name,
        "trigger": trigger.strip(),
        "base_model": found.base_model,
    }


def _warnings(run: Run, file: Path, evaluation: Evaluation | None) -> Iterator[str]:
    stage = run.stages[-1]
    if file == run.product and stage.sha256 and weights.sha256(file) != stage.sha256:
        yield f"{file.name} is not the file that the run made: it was changed since then"
    if evaluation and evaluation.recommended and evaluation.recommended != file.stem:
        yield (
            f"`evaluate` recommends {escape.controls(evaluation.recommended)}, and this card is "
            f"about {file.stem}: {escape.controls(evaluation.reason)}"
        )
    elif evaluation and evaluation.verdict in ("undertrained", "overtrained"):
        yield f"`evaluate` found it {evaluation.verdict}: {escape.controls(evaluation.reason)}"


def _epoch(file: Path) -> int:
    found = _EPOCH.search(file.stem)
    return int(found[1]) if found else 0
