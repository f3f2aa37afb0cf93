"""Stochastic rounding from float32 to bfloat16.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

bfloat16 is the upper half of a float32. Adding 16 random bits and cutting the lower half off rounds
up as often as the lower half is large, so that the mean of many roundings is the exact number; this
holds for denormals too. Not every number may be treated so: a NaN can become 0, and what is above
the largest bfloat16 can become infinity. Those are left as they are, or cut off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST = 0x7F7F0000  # bits of the largest bfloat16, 3.39e38
_TOP = torch.finfo(torch.bfloat16).max
_UPPER = -(2**16)  # the bits that bfloat16 has
_NAN = 2**22  # a bit of the upper half that every NaN may have set


class Rounding:
    """Rounds by chance, with a generator of its own.

    What it draws depends on `seed`, the step and the number of the tensor only. So a training that
    is continued rounds as one that was never stopped, and the trainer's own random numbers stay
    what they are.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}
        self._generator: torch.Generator | None = None

    def begin(self, step: int, number: int, device: torch.device) -> None:
        """Draw for the tensor `number` in the optimizer step `step` from now on."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device)
        text = f"{self._seed} {step} {number}".encode()
        mixed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
        self._generator = self._generators[device].manual_seed(mixed >> 1)

    def store(self, exact: Sequence[Tensor], into: Sequence[Tensor]) -> None:
        """Write fp32 tensors, whose values are lost, into others of any dtype; round bfloat16."""
        for value, target in zip(exact, into, strict=True):
            if value is target:
                continue
            if target.dtype == torch.bfloat16:
                round_(value, self._generator)
            target.copy_(value)


def round_(exact: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Round an fp32 tensor in place to numbers that bfloat16 has, up or down by chance; return it.

    NaN and infinity stay what they are. Finite numbers beyond the largest bfloat16 become that.
    """
    bits = exact.view(torch.int32)
    by_chance = _sixteen_bits(exact, generator)
    if _is_usual(exact):
        bits.add_(by_chance).bitwise_and_(_UPPER)
        return exact
    size = bits & 0x7FFFFFFF
    by_chance.masked_fill_(size >= LARGEST, 0)
    by_chance.add_(bits).bitwise_and_(_UPPER)
    # A NaN whose only bits are in the lower half would be infinity without them.
    bits.copy_(torch.where(size > 0x7F800000, by_chance | _NAN, by_chance))
    return exact


def _sixteen_bits(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return random numbers from 0 to 65535, as int32: four of each 64 bits that are drawn."""
    count = like.numel()
    drawn = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    drawn.random_(-(2**63), None, generator=generator)
    return drawn.view(torch.int16)[:count].view(like.shape).to(torch.int32).bitwise_and_(0xFFFF)


def _is_usual(exact: Tensor) -> bool:
    """Return whether all is finite and rounds to what is; on a GPU, asking would make it wait."""
    if exact.device.type != "cpu" or not exact.numel():
        return False
    low, high = torch.aminmax(exact)  # NaN where there is one
    return bool(low >= -_TOP) and bool(high <= _TOP)
