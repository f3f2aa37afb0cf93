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
    size = bits & 0x7FFFFFFF
    by_chance = torch.empty_like(bits).random_(0, 2**16, generator=generator)
    by_chance.masked_fill_(size >= LARGEST, 0)
    by_chance.add_(bits).bitwise_and_(_UPPER)
    # A NaN whose only bits are in the lower half would be infinity without them.
    bits.copy_(torch.where(size > 0x7F800000, by_chance | _NAN, by_chance))
    return exact
