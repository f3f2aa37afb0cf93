"""What fine-tuning changed: two SDXL checkpoints, subtracted weight by weight.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from . import kp_sdxl_modules, kp_tensors
from .kp_sdxl_modules import Target
from .kp_tensors import Reader, UnusableError


class Pair:
    """A base and a tuned checkpoint; every thread that asks reads them through files of its own.

    Raises:
        UnusableError: one is no SDXL checkpoint, lacks a text encoder, or was cut short.
    """

    def __init__(self, base: Path, tuned: Path, *, convolutions: bool) -> None:
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
        """Return tuned - base in fp32, or None where they are the same.

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
        pieces = [
            r.pieces(key, e[key]) for r, e in zip(self._readers(), self._entries, strict=True)
        ]
        for base, tuned in zip(*pieces, strict=True):
            part = difference[at : at + len(base)]
            same = same and base.dtype == tuned.dtype and torch.equal(base, tuned)
            part.copy_(tuned).sub_(base.float() if base.element_size() == 1 else base)
            at += len(base)
        return None if same else difference.view(shapes[0])

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a weight in the base model."""
        return self._entries[0][key].shape

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
