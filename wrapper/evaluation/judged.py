"""What the pictures of an evaluation say: read, measured, and written down."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kohya_presets.judging import advice, epochs, structure
from kohya_presets.judging.advice import Recommendation
from kohya_presets.judging.epochs import Epoch
from kohya_presets.judging.structure import Features
from wrapper.data.reading import headers
from wrapper.evaluation.evaluate import Evaluation
from wrapper.evaluation.shots import FULL, Model, Shot
from wrapper.system import whole

FILE, FORMAT = "evaluation.json", 1
_SIDE = 256  # pixels: what is finer counts for nothing


@dataclass(frozen=True)
class Judged:
    """What was measured. `shots` and `measured` go together; `images` have the training images."""

    evaluation: Evaluation
    shots: tuple[Shot, ...]
    measured: tuple[epochs.Shot, ...]
    numbers: tuple[Epoch, ...]
    recommendation: Recommendation
    images: tuple[Path, ...]
    unread: tuple[str, ...] = ()  # training images that cannot be read

    @property
    def of_epochs(self) -> list[Epoch]:
        """The numbers at full strength, the base's first."""
        return [row for row in self.numbers if row.strength == FULL]


def of(evaluation: Evaluation) -> Judged:
    """Return what the pictures that are there say."""
    models = {model.name: model for model in evaluation.models}
    there = [shot for shot in evaluation.shots if (evaluation.folder / shot.file).is_file()]
    drawn = _described(evaluation.folder / shot.file for shot in there)
    trained = _described(evaluation.images)
    images = [file for file, features in trained if features is not None]
    taken = [(s, f) for s, (_, f) in zip(there, drawn, strict=True) if f is not None]
    pictures = [
        epochs.Picture(
            shot.model,
            models[shot.model].epoch,
            evaluation.kinds[shot.number],
            replace(shot.prompt, seed=None).line(),  # with its options: pictures of it are alike
            shot.prompt.seed or 0,
            shot.strength,
            features,
        )
        for shot, features in taken
    ]
    measured = epochs.shots(pictures, [f for _, f in trained if f is not None])
    numbers = _sorted(epochs.numbers(measured, epochs.spreads(pictures)), evaluation.models)
    return Judged(
        evaluation,
        tuple(shot for shot, _ in taken),
        tuple(measured),
        tuple(numbers),
        advice.recommended(numbers),
        tuple(images),
        tuple(file.name for file, features in trained if features is None),
    )


def write(judged: Judged) -> Path:
    """Write the measures as JSON into the evaluation's folder, and return the file."""
    file = judged.evaluation.folder / FILE
    text = json.dumps(values(judged), ensure_ascii=False, indent=1) + "\n"
    whole.put({file: text.encode("utf-8")})
    return file


def values(judged: Judged) -> dict[str, Any]:
    """Return the measures for a script; docs/json.md says what each is."""
    evaluation = judged.evaluation
    settings = evaluation.settings
    return {
        "format": FORMAT,
        "release": settings.release,
        "script": settings.script,
        "settings": settings.values(),
        "trigger": evaluation.trigger,
        "models": [_model(model, evaluation.folder.parent) for model in evaluation.models],
        "prompts": [
            {
                "number": number,
                "kind": evaluation.kinds[number],
                "prompt": prompt.text,
                "seed": prompt.seed,
                "negative": prompt.negative,
                **{key: value for key, value in settings.of(prompt).items() if key != "sampler"},
            }
            for number, prompt in enumerate(evaluation.prompts, start=1)
        ],
        "pictures": [
            {
                "model": shot.model,
                "prompt": shot.number,
                "strength": shot.strength,
                "file": shot.file,
                "nearest": _nearest(judged, told),
                "to_base": _rounded(told.to_base),
            }
            for shot, told in zip(judged.shots, judged.measured, strict=True)
        ],
        "epochs": [
            {
                "model": row.model,
                "epoch": row.epoch,
                "strength": row.strength,
                "copies": row.copies,
                "of": row.of,
                "diversity": _rounded(row.diversity),
                "leak": _rounded(row.leak),
                "trigger": _rounded(row.trigger),
            }
            for row in judged.numbers
        ],
        "recommendation": {
            "model": judged.recommendation.model,
            "verdict": judged.recommendation.verdict,
            "reason": judged.recommendation.reason,
            "strength": judged.recommendation.strength,
        },
    }


def _model(model: Model, run: Path) -> dict[str, Any]:
    file = model.file
    inside = file is not None and file.is_relative_to(run)
    named = None if file is None else file.relative_to(run).as_posix() if inside else str(file)
    return {"name": model.name, "file": named, "epoch": model.epoch, "step": model.step}


def _nearest(judged: Judged, told: epochs.Shot) -> dict[str, Any] | None:
    if told.index is None or told.nearest is None:
        return None
    file = judged.images[told.index]
    return {"file": str(file), "distance": _rounded(told.nearest), "copy": told.copy}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _sorted(numbers: Iterable[Epoch], models: Sequence[Model]) -> list[Epoch]:
    """Return the numbers in the order in which the models were saved."""
    place = {model.name: model.order for model in models}
    return sorted(numbers, key=lambda row: (place[row.model], row.strength))


def _described(files: Iterable[Path]) -> list[tuple[Path, Features | None]]:
    """Return the features of each picture; None for one that cannot be read."""
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # of pictures, which users' images are full of
        return [*pool.map(_features, files)]


def _features(file: Path) -> tuple[Path, Features | None]:
    try:
        with Image.open(file) as opened:
            opened.draft("RGB", (_SIDE, _SIDE))  # a JPEG is decoded smaller
            rgb = np.asarray(opened.convert("RGB"))
    except headers.FAULTS:
        return file, None
    return file, structure.describe(rgb)
