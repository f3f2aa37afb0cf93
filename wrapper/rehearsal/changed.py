"""What training changed in a checkpoint, by part: measured, not supposed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kohya_presets.loras.weights import Header, Tensor

PARTS = {  # how the names of their tensors begin in SDXL's single file
    "U-Net": "model.diffusion_model.",
    "text encoder 1": "conditioner.embedders.0.",
    "text encoder 2": "conditioner.embedders.1.",
    "VAE": "first_stage_model.",
}
_STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
Numbers = NDArray[Any]


@dataclass(frozen=True)
class Change:
    """How far a part is from what it was: the Frobenius norm over all its tensors."""

    part: str
    norm: float


def between(base: Header, tuned: Header) -> tuple[Change, ...]:
    """Return the change of each part of `tuned`; 0 where not one number is another one.

    The base is rounded as `tuned` is stored: rounding is no training.
    """
    squares = dict.fromkeys(PARTS, 0.0)
    with base.file.open("rb") as old, tuned.file.open("rb") as new:
        for name, tensor in tuned.tensors.items():
            part = next((part for part, start in PARTS.items() if name.startswith(start)), None)
            was = base.tensors.get(name)
            if part is None or was is None or was.shape != tensor.shape:
                continue
            if {was.dtype, tensor.dtype} <= _STORED.keys():
                before = _rounded(_read(old, was), tensor.dtype)
                change = _read(new, tensor).astype(np.float64) - before.astype(np.float64)
                squares[part] += float((change**2).sum())
    return tuple(Change(part, math.sqrt(square)) for part, square in squares.items())


def _read(file: BinaryIO, tensor: Tensor) -> Numbers:
    file.seek(tensor.start)
    stored = np.frombuffer(file.read(tensor.size), _STORED[tensor.dtype])
    return _widened(stored) if tensor.dtype == "BF16" else stored


def _rounded(numbers: Numbers, dtype: str) -> Numbers:
    """Return the numbers as they are after they were stored as `dtype`: to the nearest, or even."""
    if dtype != "BF16":
        with np.errstate(over="ignore"):  # fp16 has no numbers beyond 65504
            return numbers.astype(_STORED[dtype])
    bits = numbers.astype(np.float32).view(np.uint32)
    return _widened((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


def _widened(bf16: Numbers) -> Numbers:
    """Return bfloat16, which numpy does not know, as the upper half of a float32."""
    return (bf16.astype(np.uint32) << 16).view(np.float32)
