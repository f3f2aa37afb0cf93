"""What fine-tuning changed: two SDXL checkpoints, subtracted weight by weight.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from . import kp_sdxl_modules, kp_tensors
from .kp_sdxl_modules import Target
from .kp_tensors import Reader, UnusableError

FORMATS = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}  # by safetensors' word


@dataclass(frozen=True)
class Rounding:
    """What the formats of two models do to their difference, where these are not the same.

    Frobenius norms over those weights: of the `whole` difference, of what rounding the base to the
    tuned model's format changes in the base (`rounding`), and of the difference to that (`alike`).
    """

    base: str
    tuned: str
    whole: float
    rounding: float
    alike: float


class Pair:
    """A base and a tuned checkpoint; every thread that asks reads them through files of its own.

    With `round_base`, each weight of the base is first rounded to the format of the tuned one:
    a model saved in bf16 differs from its base in fp16 by more rounding than training.

    Raises:
        UnusableError: one is no SDXL checkpoint, lacks a text encoder, or was cut short.
    """

    def __init__(
        self, base: Path, tuned: Path, *, convolutions: bool, round_base: bool = False
    ) -> None:
        self._round_base = round_base
        self._squared: dict[str, tuple[float, float, float]] = {}  # as in Rounding, by key
        self._files = (base, tuned)
        self._entries = tuple(map(kp_tensors.entries, self._files))
        base_targets, tuned_targets = (
            {t.key: t for t in kp_sdxl_modules.targets(known, convolutions=convolutions)}
            for known in self._entries
        )
        _require_all(base, base_targets, tuned_targets)
        _require_all(tuned, tuned_targets, base_targets)
        self.targets = tuple(base_targets.values())  # in the order they lie in the file
        self._own = threading.local()
        self._opened: list[Reader] = []

    def difference(self, key: str) -> Tensor | None:
        """Return tuned - base (rounded, if asked for) in fp32, or None where they are the same.

        Never in less: at a change of 3e-4, subtracting in bfloat16 is 16 % off. The same thread's
        next difference is written over it.

        Raises:
            UnusableError: the shapes differ, or a dtype is unknown.
        """
        shapes = [known[key].shape for known in self._entries]
        if shapes[0] != shapes[1]:
            raise UnusableError(
                f"{key} has the shapes {shapes[0]} and {shapes[1]} in the two models"
            )
        difference = self._scratch(math.prod(shapes[0]))
        at, same = 0, True
        squared = torch.zeros(3, dtype=torch.float64)
        pieces = [
            r.pieces(key, e[key]) for r, e in zip(self._readers(), self._entries, strict=True)
        ]
        for base, tuned in zip(*pieces, strict=True):
            part = difference[at : at + len(base)]
            if base.dtype != tuned.dtype:
                alike = base.to(tuned.dtype)
                squared += _squared(base, tuned, alike)
                base = alike if self._round_base else base
            same = same and base.dtype == tuned.dtype and torch.equal(base, tuned)
            part.copy_(tuned).sub_(base.float() if base.element_size() == 1 else base)
            at += len(base)
        if squared[1]:
            whole, rounding, left = squared.tolist()
            self._squared[key] = (whole, rounding, left)
        return None if same else difference.view(shapes[0])

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a weight in the base model."""
        return self._entries[0][key].shape

    def rounding(self) -> Rounding | None:
        """Return what the formats did to the differences so far, or None if they did nothing."""
        if not self._squared:
            return None
        base, tuned = (
            " and ".join(sorted({FORMATS.get(e[key].dtype, e[key].dtype) for key in self._squared}))
            for e in self._entries
        )
        norms = (
            math.sqrt(math.fsum(column)) for column in zip(*self._squared.values(), strict=True)
        )
        return Rounding(base, tuned, *norms)

    def close(self) -> None:
        """Close all files."""
        for reader in self._opened:
            reader.close()

    def _scratch(self, size: int) -> Tensor:
        # Memory that threads give back piecemeal is not given back to the system.
        if getattr(self._own, "scratch", None) is None or len(self._own.scratch) < size:
            self._own.scratch = torch.empty(size)
        found: Tensor = self._own.scratch[:size]
        return found

    def _readers(self) -> tuple[Reader, ...]:
        if not hasattr(self._own, "readers"):
            self._own.readers = tuple(map(Reader, self._files))
            self._opened += self._own.readers
        found: tuple[Reader, ...] = self._own.readers
        return found


def _squared(base: Tensor, tuned: Tensor, alike: Tensor) -> Tensor:
    """Return the squared norms of tuned - base, alike - base and tuned - alike."""
    base, tuned, alike = base.float(), tuned.float(), alike.float()
    parts = (tuned - base, alike - base, tuned - alike)
    return torch.stack([part.square_().sum(dtype=torch.float64) for part in parts])


def _require_all(
    file: Path, there: Mapping[str, Target], in_the_other: Mapping[str, Target]
) -> None:
    for start, part in (
        (kp_sdxl_modules.UNET, "U-Net"),
        (kp_sdxl_modules.TEXT_ENCODER_1, "first text encoder"),
        (kp_sdxl_modules.TEXT_ENCODER_2, "second text encoder"),
    ):
        if not any(key.startswith(start) for key in there):
            raise UnusableError(f"{file} has no {part} of SDXL: no weights named {start}…")
    for key in in_the_other:
        if key not in there:
            raise UnusableError(f"{file} lacks {key}, which the other model has")
