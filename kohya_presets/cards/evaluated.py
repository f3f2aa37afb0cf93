"""What `evaluate` found out about one LoRA, of all that `evaluation.json` says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kohya_presets.cards.facts import Sampling

FORMAT = 1
TOLD = 0.005  # a leak below it is 0.00 as it is printed, and not told
_BEST = {"trigger": 0, "near": 1, "caption": 2, "generic": 3}  # kinds of prompts for a card


@dataclass(frozen=True)
class Shown:
    """A picture of the evaluation that a card can show; `file` is in the evaluation's folder."""

    file: str
    prompt: str
    seed: int | None
    strength: float


@dataclass(frozen=True)
class Evaluation:
    """What is known of one LoRA. None: it was not measured."""

    trigger: str
    sampling: Sampling
    shown: tuple[Shown, ...]
    copies: int | None = None
    captions: int | None = None  # that were prompted word for word: `copies` of them came back
    leak: float | None = None
    verdict: str = "unknown"
    recommended: str | None = None  # the model that `evaluate` recommends
    reason: str = ""


def of(values: Any, model: str) -> Evaluation | None:
    """Return what `evaluation.json` says of the model called `model`; None: nothing.

    The file may be edited: what is not as expected is left out.
    """
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        return None
    models = [_text(one, "name") for one in _tables(values.get("models"))]
    settings, advice = _table(values.get("settings")), _table(values.get("recommendation"))
    if model not in models:
        return None
    own = [e for e in _tables(values.get("epochs")) if e.get("model") == model]
    epoch: Mapping[str, Any] = min(own, key=_from_full, default={})
    sampling = Sampling(
        _text(settings, "sampler"),
        int(_number(settings.get("steps")) or 0),
        _number(settings.get("scale")) or 0.0,
        int(_number(settings.get("width")) or 0),
        int(_number(settings.get("height")) or 0),
    )
    return Evaluation(
        _text(values, "trigger"),
        sampling,
        tuple(_shown(values, model)),
        _whole(epoch.get("copies")),
        _whole(epoch.get("of")),
        _number(epoch.get("leak")),
        _text(advice, "verdict") or "unknown",
        _text(advice, "model") or None,
        _text(advice, "reason"),
    )


def _from_full(epoch: Mapping[str, Any]) -> float:
    """Return how far the strength of a row of numbers is from 1, at which most use a LoRA."""
    strength = _number(epoch.get("strength"))
    return abs((1.0 if strength is None else strength) - 1.0)


def notes(found: Evaluation) -> Iterator[str]:
    """Yield what a user of the LoRA should know, in sentences."""
    if found.copies and found.captions:
        yield (
            f"It can repeat training images: {found.copies} of {found.captions} training captions, "
            "prompted word for word, came back as a copy of a training image. "
            "Use other words, or a lower strength."
        )
    if found.leak is not None and found.leak >= TOLD:
        yield (
            "It also changes pictures whose prompt has no trigger word: they moved by "
            f"{found.leak:.2f} from those of the base model (0 is no change). "
            "Remove the LoRA from a prompt that is not about it."
        )


def _shown(values: Mapping[str, Any], model: str) -> Iterator[Shown]:
    """Yield the model's pictures that are no copies, the best kinds of prompts first."""
    prompts = {one.get("number"): one for one in _tables(values.get("prompts"))}
    found = []
    for picture in _tables(values.get("pictures")):
        prompt = prompts.get(picture.get("prompt"))
        strength, nearest = _number(picture.get("strength")), _table(picture.get("nearest"))
        kind = _text(prompt or {}, "kind")
        if picture.get("model") != model or not prompt or kind not in _BEST or strength is None:
            continue
        if not nearest.get("copy") and (file := _text(picture, "file")):
            place = (_BEST[kind], abs(strength - 1.0), _number(prompt.get("number")) or 0)
            text, seed = _text(prompt, "prompt"), _whole(prompt.get("seed"))
            found.append((place, Shown(file, text, seed, strength)))
    yield from (shown for _, shown in sorted(found, key=lambda pair: pair[0]))


def _tables(value: Any) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    found = _number(value)
    return None if found is None else int(found)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
