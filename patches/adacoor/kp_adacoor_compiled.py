"""A step of AdaCoor as one compiled kernel: C++ on a CPU, what torch.compile makes elsewhere.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

Each number is read once and written once, where the usual step goes over its tensors four to seven
times. A kernel is tried on examples before it touches a weight.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

import torch

from . import kp_adacoor_cpp, kp_adacoor_triton
from .kp_adacoor_step import Factors, Kernel, Keys, Like, Triple, adacoor

LARGE = 2**16  # elements of a tensor that is worth several threads
MANY = kp_adacoor_triton.TOGETHER + 1  # tensors: more than are taken at a time
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
    alike: dict[Like, list[Triple]] = {}
    left: list[Triple] = []
    for triple in triples:
        # Torch would compile again for a size of 1. And a kernel takes all sizes to be the same: a
        # state of another model is left to the usual step, which says so.
        shape = triple[0].shape
        fits = shape.numel() > 1 and all(t.is_contiguous() and t.shape == shape for t in triple)
        like = tuple((t.device, t.dtype) for t in triple)
        (alike.setdefault(like, []) if fits else left).append(triple)
    for like, some in alike.items():
        kernel = _kernel(like, keys is not None)
        if kernel is None:
            left += some
        else:
            kernel(some, _factors(lr, epsilon, weight_decay), keys)
    return left


def _factors(lr: float, epsilon: float, weight_decay: float) -> Factors:
    return epsilon, -lr * epsilon, 1 - lr * weight_decay


@functools.cache
def _kernel(like: Like, rounded: bool) -> Kernel | None:
    """Return the step of tensors of such devices and dtypes, compiled and tried.

    None, and a warning, if it cannot be compiled here or what it computes is not the step. With
    several processes, all take the same step: they ask for the same kernels in the same order.
    """
    kernel = _tried(like, rounded)
    if _in_all(kernel is not None, like[0][0]):
        return kernel
    if kernel is not None:
        _warn("it does not work in another process")
    return None


def _tried(like: Like, rounded: bool) -> Kernel | None:
    try:
        on_cpu = all(device.type == "cpu" for device, _ in like)
        made = kp_adacoor_cpp if on_cpu else kp_adacoor_triton
        kernel = made.kernel(like)
        # Of different sizes, or torch would compile for tensors of one size. So large that several
        # threads work on them; then so small that they are less than a vector.
        for least in (LARGE, 2):
            _try(kernel, like, range(least, least + MANY), rounded)
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


def _try(kernel: Kernel, like: Like, sizes: Sequence[int], rounded: bool) -> None:
    """Raise ArithmeticError where a kernel's step of examples of these sizes is not the step."""
    found, expected = ([_example(like, size) for size in sizes] for _ in range(2))
    options = {"lr": 0.5, "epsilon": 0.01, "weight_decay": 0.1}
    kernel(found, _factors(**options), (1, 2**32 - 2) if rounded else None)
    adacoor(*zip(*expected, strict=True), **options)
    for one, other in zip(sum(found, ()), sum(expected, ()), strict=True):
        rtol = 1e-5 if one.dtype == torch.float32 else 1e-2
        differ = ~torch.isclose(one.float(), other.float(), rtol=rtol, atol=1e-6)
        # By chance a number may be rounded the other way. Otherwise one multiply-add rounds once or
        # twice, as the compiler likes: seldom, that tips a sum.
        near = torch.allclose(one.float(), other.float(), rtol=1e-2, atol=1e-4)
        if not near or (not rounded and float(differ.float().mean()) > 1e-3):
            raise ArithmeticError("the compiled step is not the step")
    if rounded and sizes[0] >= LARGE:
        for (_, g, v), size in zip(found, sizes, strict=True):
            _, _, before = _example(like, size)
            off = v.float() - (before.float() + options["epsilon"] * g.float().square())
            # Numbers here are from 0.1 to 0.11, with a last bit of 2^-11. Cut off, all are smaller.
            if abs(float(off.mean())) > 0.1 * 2**-11:
                raise ArithmeticError("the compiled step does not round by chance")


@functools.cache  # once for the first of the reasons
def _warn(why: str) -> None:
    logger.warning("AdaCoor runs without compiled=True, which does not work here (%s)", why)


def _example(like: Like, size: int) -> Triple:
    made = (torch.linspace(-1, 1, size), torch.linspace(0.5, -1, size), torch.full((size,), 0.1))
    p, g, v = (t.to(*to) for t, to in zip(made, like, strict=True))
    return p, g, v
