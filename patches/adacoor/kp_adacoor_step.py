"""One step of AdaCoor, for many tensors at once.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

LARGEST = 0x7F7F0000  # bits of the largest bfloat16
Store = Callable[[Sequence[Tensor], Sequence[Tensor]], None]
Triple = tuple[Tensor, Tensor, Tensor]  # weights, gradients, sums
Like = tuple[tuple[Any, Any], ...]  # device and dtype of each of them
Keys = tuple[int, int]  # of 32 bits: the seed of a tensor's noise
Factors = tuple[float, float, float]  # epsilon, -lr * epsilon, 1 - lr * weight_decay
# Takes the step of tensors of one likeness; with keys, it rounds by chance.
Kernel = Callable[[Sequence[Triple], Factors, "Keys | None"], None]


def adacoor(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    sums: Sequence[Tensor],
    *,
    lr: float,
    epsilon: float,
    weight_decay: float = 0.0,
    stochastic_rounding: bool = False,
    store: Store | None = None,
) -> None:
    """Take one step: v <- v + epsilon g^2, p <- p - lr epsilon g / (sqrt(v) + epsilon).

    With p of `params`, g of `grads` and v of `sums`; p <- p (1 - lr weight_decay) comes first.
    Computed in fp32 and rounded into `sums` and `params` once each, whatever their dtypes.
    `store` writes fp32 tensors, whose values it may change, into others: it rounds in its own way.
    """
    if store is None:
        store = by_chance if stochastic_rounding else copy_over
    grads = [g.float() for g in grads]
    exact = [v.float() for v in sums]  # the sums themselves where they are fp32
    torch._foreach_addcmul_(exact, grads, grads, value=epsilon)
    if exact[0] is sums[0]:
        roots = torch._foreach_sqrt(exact)
    else:
        store(exact, sums)
        copy(exact, sums)  # what was stored is what counts
        roots = exact
        torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, epsilon)
    weights = [p.float() for p in params]
    if weight_decay:
        torch._foreach_mul_(weights, 1 - lr * weight_decay)
    torch._foreach_addcdiv_(weights, grads, roots, value=-lr * epsilon)
    if weights[0] is not params[0]:
        store(weights, params)


def copy_over(exact: Sequence[Tensor], into: Sequence[Tensor]) -> None:
    """Write fp32 tensors into others, rounded to the nearest."""
    copy(into, exact)


def by_chance(exact: Sequence[Tensor], into: Sequence[Tensor]) -> None:
    """Write fp32 tensors, whose values are lost, into others; bfloat16 is rounded by chance.

    NaN and infinity stay what they are, and finite numbers stay finite.
    """
    if into[0].dtype == torch.bfloat16:
        for tensor in exact:
            # bfloat16 is the upper half of a float: a random lower half carries over by chance.
            bits = tensor.view(torch.int32)
            size = bits & 0x7FFFFFFF
            random = _sixteen_bits(bits)
            random.masked_fill_(size >= LARGEST, 0)
            random.add_(bits).bitwise_and_(-(2**16))
            # A NaN whose only bits are in the lower half would be infinity without them.
            bits.copy_(torch.where(size > 0x7F800000, random | 2**22, random))
    copy(into, exact)


def _sixteen_bits(like: Tensor) -> Tensor:
    """Return random numbers from 0 to 65535, as int32: four of each 64 bits that are drawn."""
    count = like.numel()
    drawn = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    drawn.random_(-(2**63), None)
    return drawn.view(torch.int16)[:count].view(like.shape).to(torch.int32).bitwise_and_(0xFFFF)


def copy(into: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Write tensors into others, all at once."""
    if hasattr(torch, "_foreach_copy_"):  # from torch 2.1
        torch._foreach_copy_(into, values)
    else:
        for one, value in zip(into, values):  # noqa: B905 - which not every torch can compile
            one.copy_(value)
