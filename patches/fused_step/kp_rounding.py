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
ROW = 2**14  # numbers that noise is drawn for one by one
_AHEAD = 2**10  # numbers drawn at a time for rows as a whole
_SAFE = 1e38  # a sum of squares below this has no summand above 1e19
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
        self._noise: _Noise | None = None
        self._text = b""

    def begin(self, step: int, number: int, device: torch.device) -> None:
        """Draw for the tensor `number` in the optimizer step `step` from now on."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device)
        self._text = f"{self._seed} {step} {number}".encode()
        mixed = int.from_bytes(hashlib.blake2b(self._text, digest_size=8).digest(), "little")
        self._noise = _Noise(self._generators[device].manual_seed(mixed >> 1))

    def keys(self) -> tuple[int, int]:
        """Return two numbers of 32 bits to seed this tensor's noise in a kernel of its own."""
        digest = hashlib.blake2b(self._text, digest_size=8, person=b"kernel").digest()
        return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")

    def store(self, exact: Sequence[Tensor], into: Sequence[Tensor]) -> None:
        """Write fp32 tensors, whose values are lost, into others of any dtype; round bfloat16."""
        for value, target in zip(exact, into, strict=True):
            if value is target:
                continue
            if target.dtype == torch.bfloat16:
                _round_by(value, self._noise.like(value) if self._noise else _drawn(value))
            target.copy_(value)


class _Noise:
    """Random numbers for all that is rounded in one tensor, most of them without drawing them.

    One row of numbers is drawn, and one number more for each further row and rounding, which all of
    the first row are xor-ed with. Each is evenly distributed, and any two of them are independent,
    so means and variances are those of numbers drawn one by one.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._row: Tensor | None = None
        self._more: Tensor | None = None  # for the rows to come

    def like(self, exact: Tensor) -> Tensor:
        """Return numbers from 0 to 65535, as int32, in the shape of `exact`."""
        count, device = exact.numel(), exact.device
        if self._row is None or len(self._row) < min(count, ROW):
            self._row = _sixteen_bits(min(count, ROW), device, self._generator)
        whole, rest = divmod(count, len(self._row)) if count else (0, 0)
        needed = whole + bool(rest)
        if self._more is None or len(self._more) < needed:
            self._more = _sixteen_bits(max(needed, _AHEAD), device, self._generator)
        more, self._more = self._more[:needed].unsqueeze(1), self._more[needed:]
        if not rest:
            return (self._row ^ more).view(exact.shape)
        noise = torch.empty(count, dtype=torch.int32, device=device)
        cut = count - rest
        rows = noise[:cut].view(whole, len(self._row))
        torch.bitwise_xor(self._row, more[:whole], out=rows)
        torch.bitwise_xor(self._row[:rest], more[whole], out=noise[cut:])
        return noise.view(exact.shape)


def round_(exact: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Round an fp32 tensor in place to numbers that bfloat16 has, up or down by chance; return it.

    NaN and infinity stay what they are. Finite numbers beyond the largest bfloat16 become that.
    """
    return _round_by(exact, _drawn(exact, generator))


def _round_by(exact: Tensor, by_chance: Tensor) -> Tensor:
    """Round in place by random numbers of the same shape, which are lost."""
    bits = exact.view(torch.int32)
    if _is_usual(exact):
        bits.add_(by_chance).bitwise_and_(_UPPER)
        return exact
    size = bits & 0x7FFFFFFF
    by_chance.masked_fill_(size >= LARGEST, 0)
    by_chance.add_(bits).bitwise_and_(_UPPER)
    # A NaN whose only bits are in the lower half would be infinity without them.
    bits.copy_(torch.where(size > 0x7F800000, by_chance | _NAN, by_chance))
    return exact


def _drawn(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    return _sixteen_bits(like.numel(), like.device, generator).view(like.shape)


def _sixteen_bits(
    count: int, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Return random numbers from 0 to 65535, as int32: four of each 64 bits that are drawn."""
    drawn = torch.empty(-(-count // 4), dtype=torch.int64, device=device)
    drawn.random_(-(2**63), None, generator=generator)
    return drawn.view(torch.int16)[:count].to(torch.int32).bitwise_and_(0xFFFF)


def _is_usual(exact: Tensor) -> bool:
    """Return whether all is finite and rounds to what is; on a GPU, asking would make it wait."""
    if exact.device.type != "cpu" or not exact.is_contiguous():
        return False
    flat = exact.view(-1)
    return torch.dot(flat, flat).item() < _SAFE  # not with an infinity or a NaN
