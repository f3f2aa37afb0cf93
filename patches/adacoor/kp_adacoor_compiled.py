"""A step of AdaCoor as one kernel, which torch.compile makes: C++ on a CPU, Triton on a GPU.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

Each number is read once and written once, where the usual step goes over its tensors four to seven
times. It is compiled for 16 tensors at a time, and for one (those that are left, and fused-step's),
once for each set of devices and dtypes, whatever the shapes, rates and decay. It is tried on
examples before it touches a weight.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .kp_adacoor_step import adacoor, copy

TOGETHER = 16  # tensors in a call; one where it is rounded by chance
TOP = torch.finfo(torch.bfloat16).max
LARGE = 2**16  # elements of a tensor that is worth several threads
# Torch 2.1 lets the C++ compiler take sums apart, so that a - (a - b) is b.
KEEPS_ORDER = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 4)
Triple = tuple[Tensor, Tensor, Tensor]  # weights, gradients, sums
Keys = tuple[int, int]  # of 32 bits, with a sign
logger = logging.getLogger(__name__)


def step_of_what_fits(
    triples: Sequence[Triple],
    lr: float,
    epsilon: float,
    weight_decay: float,
    keys: Keys | None = None,
) -> Sequence[Triple]:
    """Take the step of what a compiled kernel fits, and return all others.

    With `keys`, what is bfloat16 is rounded by chance: these, and the place in a tensor, are all
    that it depends on.
    """
    alike: dict[tuple[Any, ...], list[Triple]] = {}
    left: list[Triple] = []
    for triple in triples:
        # Torch would compile again for a size of 1.
        fits = triple[0].numel() > 1 and all(t.is_contiguous() for t in triple)
        like = tuple((t.device, t.dtype) for t in triple)
        (alike.setdefault(like, []) if fits else left).append(triple)
    for like, some in alike.items():
        some.sort(key=lambda triple: -triple[0].numel())  # the few that are left are the smallest
        factors = _factors(some[0][0].device, lr, epsilon, weight_decay)
        chance = None
        if keys is not None:
            chance = torch.tensor(keys, dtype=torch.int32, device=some[0][0].device)
        for together in (TOGETHER, 1) if chance is None else (1,):
            full = len(some) // together * together
            if not full or (kernel := _kernel(like, together, chance is not None)) is None:
                continue
            for n in range(0, full, together):
                # Neither shape nor gradient is the kernel's business: it would be compiled for
                # each.
                flat = [[t.view(-1).data for t in triple] for triple in some[n : n + together]]
                kernel(*map(list, zip(*flat, strict=True)), factors, chance)
            some = some[full:]
        left += some
    return left


@functools.cache
def _kernel(like: tuple[Any, ...], together: int, rounded: bool) -> Callable[..., None] | None:
    """Return `_together`, compiled for so many tensors and tried with such devices and dtypes.

    None, and a warning, if it cannot be compiled here or what it computes is not the step. With
    several processes, all take the same step: they ask for the same kernels in the same order.
    """
    kernel = _tried(like, together, rounded)
    if _in_all(kernel is not None, like[0][0]):
        return kernel
    if kernel is not None:
        _warn("it does not work in another process")
    return None


def _tried(like: tuple[Any, ...], together: int, rounded: bool) -> Callable[..., None] | None:
    try:
        kernel = torch.compile(_together, dynamic=True)
        # Of different sizes, or the kernel would be for tensors of one size. So large that the
        # compiler has several threads work on them; then so small that they are less than a vector.
        for least in (LARGE, 2):
            _try(kernel, like, range(least, least + together), rounded)
    except Exception as error:  # no compiler, no Triton, a Python too new: each has its own
        _warn(f"{type(error).__name__}: {error}".splitlines()[0])
        return None
    return kernel


def _in_all(works: bool, device: Any) -> bool:
    """Return whether something works in each process of this training."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return works
    flag = torch.tensor([float(works)], device=device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MIN)
    return bool(flag.item())


def _try(
    kernel: Callable[..., None], like: tuple[Any, ...], sizes: Sequence[int], rounded: bool
) -> None:
    """Raise ArithmeticError where a kernel's step of examples of these sizes is not the step."""
    found, expected = ([_example(like, size) for size in sizes] for _ in range(2))
    options = {"lr": 0.5, "epsilon": 0.01, "weight_decay": 0.1}
    factors = _factors(like[0][0], **options)
    chance = torch.tensor([1, -2], dtype=torch.int32, device=like[0][0]) if rounded else None
    kernel(*map(list, zip(*found, strict=True)), factors, chance)
    if rounded:
        _together(*map(list, zip(*expected, strict=True)), factors, chance)
    else:
        adacoor(*zip(*expected, strict=True), **options)
    for one, other in zip(sum(found, ()), sum(expected, ()), strict=True):
        rtol = 1e-5 if one.dtype == torch.float32 else 1e-2
        differ = ~torch.isclose(one.float(), other.float(), rtol=rtol, atol=1e-6)
        # One multiply-add rounds once or twice, as the compiler likes: seldom, that tips a sum.
        near = torch.allclose(one.float(), other.float(), rtol=1e-2, atol=1e-4)
        if not near or float(differ.float().mean()) > 1e-3:
            raise ArithmeticError("the compiled step is not the step")


@functools.cache  # once for the first of the reasons
def _warn(why: str) -> None:
    logger.warning("AdaCoor runs without compiled=True, which does not work here (%s)", why)


def _example(like: tuple[Any, ...], size: int) -> Triple:
    made = (torch.linspace(-1, 1, size), torch.linspace(0.5, -1, size), torch.full((size,), 0.1))
    p, g, v = (t.to(*to) for t, to in zip(made, like, strict=True))
    return p, g, v


def _factors(device: Any, lr: float, epsilon: float, weight_decay: float) -> Tensor:
    # In a tensor, or a scheduler that changes lr would have all compiled anew.
    return torch.tensor([epsilon, -lr * epsilon, 1 - lr * weight_decay], device=device)


def _together(
    params: list[Tensor],
    grads: list[Tensor],
    sums: list[Tensor],
    factors: Tensor,
    chance: Tensor | None,
) -> None:
    for p, g, v in zip(params, grads, sums):  # noqa: B905 - which not every torch can compile
        _step(p, g, v, factors, chance)


def _step(p: Tensor, g: Tensor, v: Tensor, factors: Tensor, chance: Tensor | None) -> None:
    epsilon, step, keep = factors[0], factors[1], factors[2]
    g = g.float()
    total = v.float() + epsilon * g * g
    noise = None if chance is None else _noise(p, chance)
    if v.dtype == torch.bfloat16:
        total = _rounded(total) if noise is None else _by_chance(total, (noise >> 16) & 0xFFFF)
    moved = p.float() * keep + step * g / (total.sqrt() + epsilon)
    if noise is not None and p.dtype == torch.bfloat16:
        moved = _by_chance(moved, noise & 0xFFFF)
    if p.device.type == "cpu":
        # One by one, torch adds a pass that has no 16-bit number in it, and halves its registers.
        copy([p, v], [moved, total])
    else:  # where torch 2.4 to 2.10, when not compiling, write all in p's dtype (its issue 173383)
        p.copy_(moved)
        v.copy_(total)


def _noise(like: Tensor, keys: Tensor) -> Tensor:
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

    As T. J. Dekker splits a number (Numer. Math. 18, 1971, 224-242), on a CPU, where torch takes
    the bits of a number one by one; the largest then become NaN, from 2^112 (gradients of 1e20).
    Triton would contract that to what rounds wrongly just below powers of 2, so elsewhere it is the
    bits, up from the middle: one value in 65536 is there.
    """
    if KEEPS_ORDER and x.device.type == "cpu":
        much = x * (2.0**16 + 1)
        return much - (much - x)
    return ((x.view(torch.int32) + 2**15) & -(2**16)).view(torch.float32)
