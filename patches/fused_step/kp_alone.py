"""How an optimizer steps a single parameter, exactly as it would step it among all others.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

Right for optimizers whose step of one tensor asks nothing about another. Those of ours have a
method `step_param`; AdamW and Lion are called with one parameter, so that their own code runs.
Where what they store is to be rounded, their step is computed here, in fp32, decay and moments
before the one rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .kp_kahan import Kahan
from .kp_rounding import Rounding

Group = Mapping[str, Any]
# Elements that one pass works on: temporary copies in fp32 take 16 bytes for each.
AT_A_TIME = {"cpu": 2**17, "cuda": 2**24}  # in a CPU's cache; enough to fill a GPU
# Arguments that the steps here do not know -> the value they must have.
_PLAIN = {
    "AdamW": {"amsgrad": False, "maximize": False},
    "Lion": {"cautious_factor": 1.0},
}


def name_of(optimizer: torch.optim.Optimizer) -> str | None:
    """Return what this module calls an optimizer, or None if it cannot step it alone."""
    if hasattr(optimizer, "step_param"):
        return type(optimizer).__name__
    kind = type(optimizer)
    known = (kind.__module__.partition(".")[0], kind.__name__)
    return known[1] if known in (("torch", "AdamW"), ("lion_pytorch", "Lion")) else None


class Alone:
    """Steps one parameter of an optimizer at a time, and rounds as `option` asks for it.

    Raises:
        ValueError: the optimizer is another than these, or has arguments that go with no rounding.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        rounding: Rounding | Kahan | None,
        option: str = "--stochastic_rounding",
    ) -> None:
        name = name_of(optimizer)
        if name is None:
            found = f"{type(optimizer).__module__}.{type(optimizer).__name__}"
            raise ValueError(
                "--fused_backward_pass, --stochastic_rounding and --kahan_summation work with "
                f"AdaCoor, AdamW and Lion, not with {found}. Use another --optimizer_type, or "
                "leave the option out"
            )
        self._optimizer, self._rounding = optimizer, rounding
        self._formula = _FORMULAS.get(name)
        if rounding is not None:
            for group in optimizer.param_groups:
                for argument, plain in _PLAIN.get(name, {}).items():
                    if group.get(argument, plain) != plain:
                        raise ValueError(
                            f"{option} does not work with {name}'s {argument}="
                            f"{group[argument]}. Leave {argument} out of --optimizer_args"
                        )

    def step(self, p: Tensor, number: int) -> None:
        """Step a parameter of the group `number` by its gradient."""
        group = self._optimizer.param_groups[number]
        if hasattr(self._optimizer, "step_param"):
            store = self._rounding.store if self._rounding else None
            keys = getattr(self._rounding, "keys", None)
            if keys and getattr(self._optimizer, "compiled", False):
                self._optimizer.step_param(p, group, store, keys())
            else:
                self._optimizer.step_param(p, group, store)
        elif self._rounding and self._formula and p.dtype == torch.bfloat16:
            with torch.no_grad():
                self._formula(self._optimizer, p, group, self._rounding.store)
        else:
            self._by_itself(p, group)

    def _by_itself(self, p: Tensor, group: Group) -> None:
        every = self._optimizer.param_groups
        self._optimizer.param_groups = [{**group, "params": [p]}]
        try:
            self._optimizer.step()
        finally:
            self._optimizer.param_groups = every


Store = Callable[[Sequence[Tensor], Sequence[Tensor]], None]


def _adamw(optimizer: torch.optim.Optimizer, p: Tensor, group: Group, store: Store) -> None:
    """The step of torch.optim.AdamW (I. Loshchilov and F. Hutter, arXiv 1711.05101)."""
    state = optimizer.state[p]
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
    state["step"] += 1
    steps, lr, (beta1, beta2) = float(state["step"]), float(group["lr"]), group["betas"]
    rate = lr / (1 - beta1**steps)
    root = math.sqrt(1 - beta2**steps)
    for stored in _parts(p, p.grad, state["exp_avg"], state["exp_avg_sq"]):
        w, g, m, v = (t.float() for t in stored)
        if group["weight_decay"]:
            w.mul_(1 - lr * group["weight_decay"])
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        w.addcdiv_(m, v.sqrt().add_(group["eps"] * root), value=-rate * root)
        store((w, m, v), (stored[0], *stored[2:]))


def _lion(optimizer: torch.optim.Optimizer, p: Tensor, group: Group, store: Store) -> None:
    """The step of lion_pytorch's Lion (X. Chen et al., arXiv 2302.06675)."""
    state = optimizer.state[p]
    if not state:
        state["exp_avg"] = torch.zeros_like(p)
    lr, decay, (beta1, beta2) = float(group["lr"]), group["weight_decay"], group["betas"]
    if getattr(optimizer, "decoupled_wd", False):
        decay /= optimizer._init_lr  # type: ignore[attr-defined]
    for stored in _parts(p, p.grad, state["exp_avg"]):
        w, g, m = (t.float() for t in stored)
        if decay:
            w.mul_(1 - lr * decay)
        w.sub_(torch.lerp(m, g, 1 - beta1).sign_(), alpha=lr)
        m.lerp_(g, 1 - beta2)
        store((w, m), (stored[0], stored[2]))


_FORMULAS = {"AdamW": _adamw, "Lion": _lion}


def _parts(*tensors: Tensor | None) -> Iterator[tuple[Tensor, ...]]:
    """Yield tensors of one shape in flat parts that are not too large; not those with gaps."""
    whole = tuple(t.data for t in tensors if t is not None)
    limit = AT_A_TIME.get(whole[0].device.type, 2**24)
    if whole[0].numel() <= limit or not all(t.is_contiguous() for t in whole):
        yield whole
    else:
        yield from zip(*(t.view(-1).split(limit) for t in whole), strict=True)
