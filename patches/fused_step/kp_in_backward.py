"""Steps inside of the backward pass: each weight as soon as its gradient is whole.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.1 and newer.

So the gradients never exist all at once. What the script itself does after the backward pass finds
no gradient any more: its clipping has nothing to clip, its step nothing to step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

HOOK = "register_post_accumulate_grad_hook"  # torch has it from 2.1 on
Step = Callable[[Tensor, int], None]  # of a parameter, whose place among all is this


class InBackward:
    """Calls `step` for each trained parameter in the backward pass, and frees its gradient.

    With gradients that are accumulated over several batches, in the last of these.

    Args:
        step: Steps one parameter by its gradient.
        parameters: Those that the optimizer has, by their number.
        whole: Whether this backward pass is the last before a step.
        max_norm: What the norm of each gradient is clipped to, by itself; 0: it is not.
    """

    def __init__(
        self,
        step: Step,
        parameters: Sequence[Tensor],
        *,
        whole: Callable[[], bool],
        max_norm: float,
    ) -> None:
        self._step, self._whole, self._max_norm = step, whole, max_norm
        self._done: set[int] = set()  # parameters stepped in this backward pass
        for number, p in enumerate(parameters):
            if p.requires_grad:
                getattr(p, HOOK)(self._hook(number))

    def end(self, *_: Any, **__: Any) -> None:
        """Take note that a backward pass is over: called where the script steps its optimizer."""
        self._done.clear()

    def _hook(self, number: int) -> Callable[[Tensor], None]:
        def arrived(p: Tensor) -> None:
            if not self._whole():
                return
            if number in self._done:
                raise RuntimeError(
                    "a weight got its gradient in two parts, and was stepped by the first alone: "
                    "nothing that this training makes is right. Leave out --fused_backward_pass, "
                    "or --gradient_checkpointing"
                )
            self._done.add(number)
            if self._max_norm:
                nn.utils.clip_grad_norm_([p], self._max_norm)
            self._step(p, number)
            p.grad = None

        return arrived


def used_twice(models: Iterable[nn.Module]) -> int:
    """Return how many trained parameters belong to several modules."""
    modules = {module for model in models for module in model.modules()}
    owners = Counter(p for m in modules for p in m._parameters.values() if p is not None)
    return sum(count > 1 for p, count in owners.items() if p.requires_grad)


def part(parameters: Iterable[Tensor]) -> None:
    """Give parameters that lie in one storage a storage each.

    Such are the query, key and value weights of SDXL's second text encoder on a CPU. Stepping one
    would tell autograd that the others have changed, too, which it still needs.
    """
    found: dict[int, list[Tensor]] = {}
    for p in parameters:
        found.setdefault(p.untyped_storage().data_ptr(), []).append(p)
    for together in found.values():
        for p in together if len(together) > 1 else ():
            with torch.no_grad():
                p.data = p.data.clone()
