"""What the pictures of each epoch tell: copies, diversity, leak, and whether the trigger works.

From distances only (`structure`), at one strength at a time. None of these numbers says whether a
picture is good: they say what to look at first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from kohya_presets.judging import structure

BASE = "base"  # the model without a LoRA
CAPTION, NEAR, TRIGGER, WITHOUT, GENERIC = "caption", "near", "trigger", "without", "generic"
TRIGGER_FREE = (WITHOUT, GENERIC)

# What each number can tell and what it cannot, for pages and docs.
MEANING: Mapping[str, str] = {
    "copies": (
        "How many captions, prompted word for word, come back as a copy of a training image. "
        "Copies in most of them mean overtraining. A copy that is much cropped, or in part "
        "another picture, is missed; a picture with the same background and nearly the same "
        "shapes may be called a copy: look at the pairs."
    ),
    "diversity": (
        "How far pictures of one prompt with different seeds are apart, from 0 (the same "
        "picture) to 1. If it falls far below the base model's, the LoRA draws one picture "
        "again and again. It sees shapes and where they are, not colours or faces."
    ),
    "leak": (
        "How far pictures of prompts without the trigger moved away from the base model's with "
        "the same seed, from 0 (unchanged) to 1. Low means that the LoRA changes little without "
        "its trigger. It cannot tell whether a picture became more like the training images, or "
        "better, or worse."
    ),
    "trigger": (
        "How far pictures of prompts with the trigger moved away from the base model's with the "
        "same seed, from 0 (the trigger does nothing) to 1. It cannot tell whether they show the "
        "right thing. A style that changes colours and leaves shapes alone hardly counts."
    ),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was made, as features."""

    model: str  # BASE, or the name of a LoRA
    epoch: int | None  # None: the base, or not known
    kind: str  # of the prompt: CAPTION, NEAR, TRIGGER, WITHOUT or GENERIC
    prompt: str  # the text: the same for all of its seeds
    seed: int
    strength: float  # of the LoRA; without meaning for the base
    features: structure.Features


@dataclass(frozen=True, slots=True)
class Shot:
    """What was measured of a picture. Distances are 0 (the same) to 1; None: nothing to compare."""

    model: str
    epoch: int | None
    kind: str
    prompt: str
    seed: int
    strength: float
    nearest: float | None  # training image
    to_base: float | None  # the base's picture of the same prompt and seed
    index: int | None = None  # of the nearest training image

    @property
    def copy(self) -> bool:
        """Whether it is so near a training image that it counts as a copy of it."""
        return self.nearest is not None and self.nearest < structure.COPY


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the pictures of one prompt with different seeds are apart, on average."""

    model: str
    strength: float
    prompt: str
    distance: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """The numbers of a model at a strength; None: there were no pictures to take it from."""

    model: str
    epoch: int | None
    strength: float
    copies: int  # of captions word for word
    of: int  # captions word for word that were compared; 0: nothing is known of copies
    diversity: float | None = None
    leak: float | None = None
    trigger: float | None = None
    leak_of: int = 0  # pictures without the trigger that were compared with the base's
    trigger_of: int = 0  # pictures with it

    @property
    def share(self) -> float:
        """The share of captions that come back as copies; 0 if there were none."""
        return self.copies / self.of if self.of else 0.0


def shots(pictures: Sequence[Picture], training: Sequence[structure.Features]) -> list[Shot]:
    """Return what is measured of each picture, in their order."""
    base = {(p.prompt, p.seed): p.features for p in pictures if p.model == BASE}
    paired = [p for p in pictures if p.model != BASE and (p.prompt, p.seed) in base]
    moved = structure.changed(
        [p.features for p in paired], [base[p.prompt, p.seed] for p in paired]
    )
    to_base = {id(p): d for p, d in zip(paired, moved, strict=True)}
    near: Sequence[tuple[int | None, float | None]] = [(None, None)] * len(pictures)
    if len(training):
        near = structure.nearest([p.features for p in pictures], training)
    return [
        Shot(
            *(p.model, p.epoch, p.kind, p.prompt, p.seed, p.strength),
            *(distance, to_base.get(id(p)), index),
        )
        for p, (index, distance) in zip(pictures, near, strict=True)
    ]


def spreads(pictures: Sequence[Picture]) -> list[Spread]:
    """Return the spread of each prompt that was drawn with several seeds."""
    drawn: dict[tuple[str, float, str], dict[int, structure.Features]] = {}
    for p in pictures:
        drawn.setdefault((p.model, p.strength, p.prompt), {})[p.seed] = p.features
    found = []
    for (model, strength, prompt), seeds in drawn.items():
        if len(seeds) > 1:
            pairs = list(combinations(seeds.values(), 2))
            far = structure.changed([a for a, _ in pairs], [b for _, b in pairs])
            found.append(Spread(model, strength, prompt, fmean(far)))
    return found


def numbers(shots: Sequence[Shot], spreads: Sequence[Spread] = ()) -> list[Epoch]:
    """Return the numbers of each model at each strength: by epoch, then strength; the base first.

    Models without an epoch come last, in the order of their first picture: in sd-scripts' names the
    file of the last epoch has no number.
    """
    models = list(dict.fromkeys((s.model, s.epoch, s.strength) for s in shots))
    order = {model: n for n, (model, _, _) in reversed([*enumerate(models)])}
    models.sort(key=lambda m: (m[0] != BASE, m[1] is None, m[1] or 0, order[m[0]], m[2]))
    return [_numbers(*model, shots, spreads) for model in models]


def _numbers(
    model: str,
    epoch: int | None,
    strength: float,
    shots: Sequence[Shot],
    spreads: Sequence[Spread],
) -> Epoch:
    own = [s for s in shots if (s.model, s.epoch, s.strength) == (model, epoch, strength)]
    pictures = [s for s in own if s.kind == CAPTION and s.nearest is not None]
    captions = {s.prompt for s in pictures}
    back = {s.prompt for s in pictures if s.copy}
    apart = [s.distance for s in spreads if (s.model, s.strength) == (model, strength)]
    leak, trigger = _moved(own, TRIGGER_FREE), _moved(own, (TRIGGER,))
    return Epoch(
        *(model, epoch, strength),
        *(len(back), len(captions)),
        *(_mean(apart), _mean(leak), _mean(trigger)),
        *(len(leak), len(trigger)),
    )


def _moved(shots: Sequence[Shot], kinds: Sequence[str]) -> list[float]:
    return [s.to_base for s in shots if s.kind in kinds and s.to_base is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
