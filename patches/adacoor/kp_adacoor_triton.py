"""A step of AdaCoor on a GPU as one kernel of Triton, which torch.compile makes.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

It is compiled for 16 tensors at a time, and for one (those that are left, and fused-step's), once
for each set of devices and dtypes, whatever the shapes, rates and decay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .kp_adacoor_step import Factors, Kernel, Keys, Like, Triple

TOGETHER = 16  # tensors in a call
TOP = torch.finfo(torch.bfloat16).max


def kernel(_: Like) -> Kernel:
    """Return the step of such tensors, which torch compiles for the first of them."""
    alone, together = (torch.compile(each, dynamic=True) for each in (_step, _together))
    return functools.partial(_all, alone, together)


def _all(
    alone: Callable[..., None],
    together: Callable[..., None],
    triples: Sequence[Triple],
    factors: Factors,
    keys: Keys | None,
) -> None:
    device = triples[0][0].device
    given = _given(factors, device)
    # Filled there: to copy numbers to a GPU would make the processor wait for it, at each tensor.
    chance = keys and [
        torch.full((), key - (key >> 31 << 32), dtype=torch.int32, device=device) for key in keys
    ]
    # The few that are left are the smallest.
    flat = [_flat(triple) for triple in sorted(triples, key=lambda t: -t[0].numel())]
    full = 0 if keys else len(flat) // TOGETHER * TOGETHER
    for n in range(0, full, TOGETHER):
        together(*map(list, zip(*flat[n : n + TOGETHER], strict=True)), given)
    for one in flat[full:]:
        alone(*one, given, chance)


@functools.lru_cache(maxsize=16)  # of all groups of a step: a GPU is waited for at each
def _given(factors: Factors, device: Any) -> Tensor:
    # In a tensor, or a scheduler that changes lr would have all compiled anew.
    return torch.tensor(factors, device=device)


def _flat(triple: Triple) -> tuple[Tensor, ...]:
    # Neither shape nor gradient is the kernel's business: it would be compiled for each.
    return tuple(t.view(-1).data for t in triple)


def _together(
    params: list[Tensor], grads: list[Tensor], sums: list[Tensor], factors: Tensor
) -> None:
    for p, g, v in zip(params, grads, sums):  # noqa: B905 - which not every torch can compile
        _step(p, g, v, factors, None)


def _step(
    p: Tensor, g: Tensor, v: Tensor, factors: Tensor, chance: Sequence[Tensor] | None
) -> None:
    epsilon, step, keep = factors[0], factors[1], factors[2]
    g = g.float()
    total = v.float() + epsilon * g * g
    noise = None if chance is None else _noise(p, chance)
    if v.dtype == torch.bfloat16:
        total = _rounded(total) if noise is None else _by_chance(total, (noise >> 16) & 0xFFFF)
    moved = p.float() * keep + step * g / (total.sqrt() + epsilon)
    if noise is not None and p.dtype == torch.bfloat16:
        moved = _by_chance(moved, noise & 0xFFFF)
    # One by one: torch 2.4 to 2.10, when not compiling, write all in p's dtype (its issue 173383).
    p.copy_(moved)
    v.copy_(total)


def _noise(like: Tensor, keys: Sequence[Tensor]) -> Tensor:
    """Return 32 random bits for each number, from its place: a hash with two keys.

    It is C. Wellons' lowbias32, with the second key added half way.
    """
    x = torch.arange(like.numel(), dtype=torch.int32, device=like.device) ^ keys[0]
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D
    x = ((x ^ ((x >> 15) & 0x1FFFF)) + keys[1]) * (0x846CA68B - 2**32)
    return x ^ ((x >> 16) & 0xFFFF)


def _by_chance(x: Tensor, noise: Tensor) -> Tensor:
    """Return fp32 x, rounded to numbers that bfloat16 has, as kp_rounding does."""
    bits = (x.view(torch.int32) + noise) & -(2**16)
    size = x.abs()
    cut = torch.where(size == float("inf"), x, x.clamp(-TOP, TOP))  # a NaN stays one
    return torch.where(size < TOP, bits.view(torch.float32), cut)


def _rounded(x: Tensor) -> Tensor:
    """Return fp32 x, rounded to the 8 bits of bfloat16: compilers leave out a cast there and back.

    Up from the middle, where one value in 65536 is.
    """
    return ((x.view(torch.int32) + 2**15) & -(2**16)).view(torch.float32)
