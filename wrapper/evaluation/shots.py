"""Which pictures are made: of which model, from which prompt, how strong. Values only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.prompts import checks
from kohya_presets.prompts.lines import Kind, Prompt

BASE = "base"  # what the model without any LoRA is called
FULL = 1.0
SAMPLER, STEPS, SCALE = "euler_a", 28, 7.0
STRENGTHS = (0.6, 0.8, FULL, 1.2)
COMPARED: frozenset[Kind] = frozenset({"caption", "trigger", "without"})  # at other strengths
FOLDER = "pictures"
_EPOCH = re.compile(r"-(\d{6})$")
_STEP = re.compile(r"-step(\d{8})$")
_LETTERS = 10  # of a hash, in a picture's name


@dataclass(frozen=True)
class Model:
    """The base, or a LoRA on it. `identity` changes with the file; `module` loads it."""

    name: str
    file: Path | None = None
    epoch: int | None = None
    step: int | None = None
    identity: str = ""
    module: str = "networks.lora"
    order: int = 0  # its place among the others: as they were saved, after the base


@dataclass(frozen=True)
class Settings:
    """How every picture is made."""

    release: str
    script: str
    sampler: str
    steps: int
    scale: float
    width: int
    height: int

    def of(self, prompt: Prompt) -> dict[str, Any]:
        """Return how the picture of a prompt is made: what its line says comes first."""
        prompt = rounded(prompt)
        own = (None, prompt.steps, prompt.scale, prompt.width, prompt.height)
        return {
            name: value if asked is None else asked
            for (name, value), asked in zip(self.values().items(), own, strict=True)
        }

    def values(self) -> dict[str, Any]:
        """Return what a person needs to make such a picture."""
        names = ("sampler", "steps", "scale", "width", "height")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Shot:
    """A picture to be made; `file` is its path in the folder of the evaluation."""

    model: str
    number: int  # of the prompt, from 1
    prompt: Prompt
    strength: float
    file: str

    @property
    def line(self) -> str:
        """The line that sdxl_gen_img.py reads; the base has no strength."""
        return self.prompt.line(None if self.model == BASE else self.strength)


def saved_at(stem: str) -> tuple[int | None, int | None]:
    """Return the epoch and the step that a file's name says it was saved at."""
    epoch, step = _EPOCH.search(stem), _STEP.search(stem)
    return int(epoch[1]) if epoch else None, int(step[1]) if step else None


def of(
    models: Sequence[Model],
    prompts: Sequence[Prompt],
    settings: Settings,
    strengths: Sequence[float] = STRENGTHS,
) -> list[Shot]:
    """Return every picture: all prompts by each model, and some by the last one at each strength.

    A picture's name has a hash of all that it follows from: what is there already needs not be made
    again, and another prompt, model or setting makes another picture beside it.
    """
    prompts = [rounded(prompt) for prompt in prompts]
    last = max(models, key=lambda model: model.order).name
    found = []
    for model in sorted(models, key=lambda model: model.order):
        for strength in sorted({FULL, *(strengths if model.name == last else ())}):
            if model.file is None and strength != FULL:
                continue
            for number, prompt in enumerate(prompts, start=1):
                if strength == FULL or (prompt.kind in COMPARED and _is_first(prompt, prompts)):
                    found.append(_shot(model, number, prompt, strength, settings))
    return found


def rounded(prompt: Prompt) -> Prompt:
    """Return a prompt whose sides the script can take; training rounds them in the same way."""
    width, height = (None if n is None else side(n) for n in (prompt.width, prompt.height))
    return replace(prompt, width=width, height=height)


def side(pixels: int) -> int:
    """Return the side of a picture that sd-scripts can make: a multiple of 8, 64 or more."""
    return max(checks.LEAST, pixels - pixels % checks.MULTIPLE)


def by_model(shots: Iterable[Shot]) -> Iterator[tuple[str, list[Shot]]]:
    """Yield the shots of each model, in their order."""
    found: dict[str, list[Shot]] = {}
    for shot in shots:
        found.setdefault(shot.model, []).append(shot)
    yield from found.items()


def _is_first(prompt: Prompt, prompts: Sequence[Prompt]) -> bool:
    """Return whether no prompt before it has the same text, with another seed."""
    return next(one for one in prompts if one.text == prompt.text) is prompt


def _shot(model: Model, number: int, prompt: Prompt, strength: float, settings: Settings) -> Shot:
    said = {key: value for key, value in prompt.options.items() if key not in "whsl"}
    made_from: Mapping[str, Any] = {
        "model": model.identity,
        "prompt": prompt.text,
        "options": said,
        "strength": strength,
        "release": settings.release,
        **settings.of(prompt),
    }
    told = json.dumps(made_from, sort_keys=True).encode("utf-8")
    digits = hashlib.sha256(told).hexdigest()[:_LETTERS]
    where = model.name if model.file is None else f"{model.name}/{strength:g}"
    return Shot(model.name, number, prompt, strength, f"{FOLDER}/{where}/{digits}.png")
