"""A step of AdaCoor as one kernel, which torch.compile makes: C++ on a CPU, Triton on a GPU.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

Each number is read once and written once, where the usual step goes over its tensors four to seven
times. It is compiled once for each set of devices and dtypes, whatever the shapes, rates and decay,
and tried on examples before it touches a weight.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .kp_adacoor import adacoor

ALONE = 2**16  # elements from which a tensor on a CPU is worth a call, with all threads
TOGETHER = 16  # tensors in a call otherwise
Triple = tuple[Tensor, Tensor, Tensor]  # weights, gradients, sums
logger = logging.getLogger(__name__)


def step_of_what_fits(
    triples: Sequence[Triple], lr: float, epsilon: float, weight_decay: float
) -> Sequence[Triple]:
    """Take the step of what a compiled kernel fits, and return all others."""
    alike: dict[tuple[Any, ...], list[Triple]] = {}
    left: list[Triple] = []
    for triple in triples:
        # Torch would compile again for a size of 1.
        fits = triple[0].numel() > 1 and all(t.is_contiguous() for t in triple)
        like = tuple((t.device, t.dtype) for t in triple)
        (alike.setdefault(like, []) if fits else left).append(triple)
    for like, some in alike.items():
        if (kernels := _kernels(like)) is None:
            left += some
            continue
        alone, together = kernels
        factors = _factors(some[0][0].device, lr, epsilon, weight_decay)
        # Neither shape nor gradient is the kernel's business: it would be compiled for each kind.
        flat = [tuple(t.view(-1).data for t in triple) for triple in some]
        on_cpu = some[0][0].device.type == "cpu"
        large = [on_cpu and triple[0].numel() >= ALONE for triple in some]
        for triple in (t for t, is_large in zip(flat, large, strict=True) if is_large):
            alone(*triple, factors)
        small = [n for n, is_large in enumerate(large) if not is_large]
        full = len(small) // TOGETHER * TOGETHER
        for n in range(0, full, TOGETHER):
            chosen = [flat[number] for number in small[n : n + TOGETHER]]
            together(*map(list, zip(*chosen, strict=True)), factors)
        left += [some[number] for number in small[full:]]
    return left


@functools.cache
def _kernels(like: tuple[Any, ...]) -> tuple[Callable[..., None], Callable[..., None]] | None:
    """Return the compiled `_alone` and `_together`, which were tried with such devices and dtypes.

    None, and a warning, if they cannot be compiled here or what they compute is not the step.
    """
    try:
        how = {"dynamic": True, "options": _options(like)}
        alone, together = (torch.compile(f, **how) for f in (_alone, _together))
        # Of different sizes, or the kernel would be for tensors of one size. So large or small
        # also tells the compiler whether several threads are worth it.
        for sizes in ([ALONE], range(64, 64 + TOGETHER)):
            found, expected = ([_example(like, n) for n in sizes] for _ in range(2))
            options = {"lr": 0.5, "epsilon": 0.01, "weight_decay": 0.1}
            factors = _factors(like[0][0], **options)
            if len(found) == 1:
                alone(*found[0], factors)
            else:
                together(*map(list, zip(*found, strict=True)), factors)
            adacoor(*zip(*expected, strict=True), **options)
            for one, other in zip(sum(found, ()), sum(expected, ()), strict=True):
                close = 1e-5 if one.dtype == torch.float32 else 1e-2
                if not torch.allclose(one.float(), other.float(), rtol=close, atol=1e-6):
                    raise ArithmeticError("the compiled step is not the step")
    except Exception as error:  # no compiler, no Triton, a Python too new: each has its own
        _warn(f"{type(error).__name__}: {error}".splitlines()[0])
        return None
    return alone, together


def _options(like: tuple[Any, ...]) -> dict[str, Any]:
    """Return how to compile for such devices and dtypes.

    Torch takes 16 numbers at a time where a CPU has AVX-512, and of 16-bit ones then half a
    register, whose masked store holds up the load that follows: the step takes 2.5 times as long.
    """
    narrow = any(device.type == "cpu" and dtype.itemsize == 2 for device, dtype in like)
    wide = getattr(torch.backends, "cpu", None)  # from torch 2.1
    return {"cpp.simdlen": 256} if narrow and wide and wide.get_cpu_capability() == "AVX512" else {}


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


def _alone(p: Tensor, g: Tensor, v: Tensor, factors: Tensor) -> None:
    epsilon, step, keep = factors[0], factors[1], factors[2]
    g = g.float()
    total = v.float() + epsilon * g * g
    if v.dtype == torch.bfloat16:
        # Rounded by hand: compilers leave out a conversion there and back. Up from the middle:
        # one value in 65536 is there, and to make half of them even takes a tenth of the time.
        total = ((total.view(torch.int32) + 2**15) & -(2**16)).view(torch.float32)
    p.copy_(p.float() * keep + step * g / (total.sqrt() + epsilon))
    v.copy_(total)


def _together(
    params: list[Tensor], grads: list[Tensor], sums: list[Tensor], factors: Tensor
) -> None:
    for p, g, v in zip(params, grads, sums):  # noqa: B905 - which not every torch can compile
        _alone(p, g, v, factors)
