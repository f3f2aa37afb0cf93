"""Kahan summation of bfloat16 weights (W. Kahan, Comm. ACM 8, 1965, 40).

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

What rounding takes from a weight is kept beside it, and added to what the next step makes of it. So
small steps add up, and the weights are never further from their exact sum than rounding is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .kp_rounding import Rounding

KEY = "kahan"  # of an optimizer's state of a parameter: what its weights lack, in bfloat16


class Kahan:
    """Writes weights that are bfloat16, and keeps what they lose.

    That is kept in the optimizer's state, so that it is saved, loaded and moved with it: 2 bytes
    for each weight. It is bfloat16 itself, and rounded by chance: rounded to the nearest, a weight
    near 1 would stop at steps of 1e-6. So is what else of the state is bfloat16.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rounding: Rounding) -> None:
        self._optimizer, self._rounding = optimizer, rounding
        self._p: Tensor | None = None

    def begin(self, p: Tensor) -> None:
        """Write a step of `p` and its state from now on."""
        self._p = p

    def store(self, exact: Sequence[Tensor], into: Sequence[Tensor]) -> None:
        """Write fp32 tensors, whose values are lost, into the weights or the state of `p`."""
        for value, target in zip(exact, into, strict=True):
            if target.dtype != torch.bfloat16 or (lost := self._lost(target)) is None:
                self._rounding.store([value], [target])
                continue
            value.add_(lost)
            target.copy_(value)
            # Of an infinite weight there is no rest: it would be NaN, and make the weight that.
            self._rounding.store([value.sub_(target).nan_to_num_(0, 0, 0)], [lost])

    def _lost(self, target: Tensor) -> Tensor | None:
        """Return what belongs to `target` where it is a part of the weights of `p`, or all."""
        p = self._p
        if p is None or target.untyped_storage().data_ptr() != p.untyped_storage().data_ptr():
            return None
        state = self._optimizer.state[p]
        if KEY not in state:  # after the optimizer's own: some ask whether there is any
            state[KEY] = torch.zeros_like(p)
        kept: Tensor = state[KEY]
        if target.shape == p.shape:
            return kept
        begin = target.storage_offset() - p.storage_offset()
        return kept.view(-1)[begin : begin + target.numel()]


def forget(optimizer: Any) -> None:
    """Drop what was kept, as a training without Kahan summation must: it would be out of date."""
    for state in getattr(optimizer, "state", {}).values():  # DeepSpeed's has none
        state.pop(KEY, None)
