"""AdaCoor, by GoldKoron after SargeZT's CoordinateDoWG (2023), as published, and what follows.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

With gradient g, and v from 0 kept in bfloat16, a step is

    v <- v + epsilon * g^2
    p <- p - lr * epsilon * g / (sqrt(v) + epsilon)

With an exact v this is Adagrad with learning rate lr * sqrt(epsilon) and epsilon sqrt(epsilon): the
guide's "LR 1" with 1e-8 is a first step of 1e-4 for each weight, which shrinks with the root of the
number of steps. In bfloat16, v has 8 significant bits and stops growing once an increment is less
than half of the last one: after 256 to 512 steps of like gradients. That puts a floor under the
rate, a 16th to a 23rd of the first step; a float32 state, or stochastic rounding, has none.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .kp_adacoor_compiled import step_of_what_fits
from .kp_adacoor_step import Keys, Store, adacoor

# Elements that one pass works on: temporary copies in fp32 take 4 to 12 bytes for each.
AT_A_TIME = {"cpu": 2**17, "cuda": 2**24}  # in a CPU's cache; enough to fill a GPU
WAYS = {"DEEPSPEED": "DeepSpeed", "FSDP": "FSDP", "MEGATRON_LM": "Megatron-LM", "TP": "TP"}
SEEN = 2**16  # elements of a group that its effective rate is measured on


class AdaCoor(torch.optim.Optimizer):
    """AdaCoor.

    Costs 2 bytes of state per parameter in bfloat16, 4 in float32.

    Args:
        params: Tensors of any floating dtype, or groups of them.
        lr: Factor of the step; 1 as published.
        epsilon: Above 0. The first step of each weight is about lr * sqrt(epsilon).
        state_dtype: "bfloat16" as published, or "float32".
        stochastic_rounding: Round the bfloat16 among state and weights up or down by chance, so
            that small changes add up on average.
        weight_decay: Decoupled: p <- p * (1 - lr * weight_decay) at each step.
        compiled: Have one kernel of the step compiled, which reads and writes each number once.
            Where that cannot be, and for what is not contiguous, the step is the usual one. Not
            with stochastic_rounding.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        epsilon: float = 1e-8,
        *,
        state_dtype: str = "bfloat16",
        stochastic_rounding: bool = False,
        weight_decay: float = 0.0,
        compiled: bool = False,
    ) -> None:
        if epsilon <= 0:
            raise ValueError(f"epsilon must be above 0, got {epsilon=}")
        if lr < 0 or weight_decay < 0:
            raise ValueError(f"lr and weight_decay must be 0 or more, got {lr=}, {weight_decay=}")
        if state_dtype not in ("bfloat16", "float32"):
            raise ValueError(f'state_dtype must be "bfloat16" or "float32", got {state_dtype=}')
        if compiled and stochastic_rounding:
            raise ValueError("compiled=True must be without stochastic_rounding=True")
        self.state_dtype = getattr(torch, state_dtype)
        self.compiled = compiled
        self.stochastic_rounding = stochastic_rounding
        self.rates: list[Tensor | None] | None = None  # of each group, once somebody asks
        self._largest: dict[int, Tensor] = {}  # of each group, which its rate is measured on
        super().__init__(params, {"lr": lr, "epsilon": epsilon, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; return what `closure` returned, which computes the gradients again."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number, group in enumerate(self.param_groups):
            if params := [p for p in group["params"] if p.grad is not None]:
                self._step(params, number, measured=max(params, key=Tensor.numel))
        return loss

    @torch.no_grad()
    def step_param(
        self,
        p: Tensor,
        group: dict[str, Any],
        store: Store | None = None,
        keys: Keys | None = None,
    ) -> None:
        """Take the step of one parameter of `group`, which has a gradient.

        `store` writes what is computed in fp32 into weights and state, and rounds in its own way.
        With `keys` beside it, a compiled step may round by chance itself: these are its seed.
        """
        number = next(n for n, own in enumerate(self.param_groups) if own is group)
        if number not in self._largest:
            trained = (p for p in group["params"] if p.requires_grad)
            self._largest[number] = max(trained, key=Tensor.numel)
        self._step([p], number, measured=self._largest[number], store=store, keys=keys)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state. Torch would cast it to the dtype of the weights; it keeps its own."""
        super().load_state_dict(state_dict)
        keys = [key for group in state_dict["param_groups"] for key in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for key, p in zip(keys, params, strict=True):
            if saved := state_dict["state"].get(key):
                self.state[p]["sum"] = saved["sum"].to(p.device, self.state_dtype, copy=True)

    def _step(
        self,
        params: Sequence[Tensor],
        number: int,
        *,
        measured: Tensor,
        store: Store | None = None,
        keys: Keys | None = None,
    ) -> None:
        group = self.param_groups[number]
        triples = [(p, p.grad, self._sum(p)) for p in params]
        lr, epsilon, decay = float(group["lr"]), group["epsilon"], group["weight_decay"]
        left = triples
        if self.compiled and (store is None or keys is not None):
            left = step_of_what_fits(triples, lr, epsilon, decay, keys)
        for chunk in _chunks(left):
            adacoor(
                *chunk,
                lr=lr,
                epsilon=epsilon,
                weight_decay=decay,
                stochastic_rounding=self.stochastic_rounding,
                store=store,
            )
        if self.rates is not None:
            for triple in triples:
                if triple[0] is measured:
                    self.rates[number] = _rate(*triple, group)

    def _sum(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if "sum" not in state:
            if p.grad.is_sparse:
                raise ValueError("AdaCoor takes no sparse gradients")
            state["sum"] = torch.zeros_like(p, dtype=self.state_dtype)
        return state["sum"]


def check(args: argparse.Namespace, arguments: Mapping[str, Any]) -> None:
    """Refuse what cannot work with AdaCoor; `arguments` are those of --optimizer_args.

    Raises:
        ValueError: the weights are spread over processes, or would be rounded otherwise in each.
    """
    shards = [
        f"accelerate's {name}"  # as its launcher tells the script that it starts
        for way, name in WAYS.items()
        if os.environ.get(f"ACCELERATE_USE_{way}", "").lower() == "true"
    ]
    if getattr(args, "deepspeed", False):
        shards = ["--deepspeed"]
    if shards:
        raise ValueError(
            f"AdaCoor does not work with {shards[0]}, which steps parts of weights in one flat "
            "tensor: it was never tried. Leave it out, or use another --optimizer_type"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and arguments.get("stochastic_rounding"):
        raise ValueError(
            "AdaCoor's stochastic_rounding=True does not work with several processes: each would "
            "round in its own way, and their weights drift apart. Use --stochastic_rounding of the "
            "patch fused-step, which rounds alike in all, or leave it out of --optimizer_args"
        )


def log(logs: dict[str, Any], lr_scheduler: Any) -> None:
    """Add to `logs`, where sd-scripts logs d*lr, how far AdaCoor moved a weight on average."""
    optimizer = lr_scheduler.optimizers[-1]
    optimizer = getattr(optimizer, "optimizer", optimizer)
    if not isinstance(optimizer, AdaCoor):
        return
    if optimizer.rates is None:  # measured from the next step on
        optimizer.rates = [None] * len(optimizer.param_groups)
        return
    names = [name.removeprefix("lr") for name in logs if name == "lr" or name.startswith("lr/")]
    for name, rate in zip(names, optimizer.rates, strict=False):
        if rate is not None:
            logs[f"lr/d*lr{name}"] = float(rate)


def _rate(p: Tensor, g: Tensor, v: Tensor, group: dict[str, Any]) -> Tensor:
    """Return how far a step of `group` moved the first weights of p on average."""
    g, v = (t.reshape(-1)[:SEEN].float() for t in (g, v))
    step = group["epsilon"] * g / (v.sqrt() + group["epsilon"])
    return group["lr"] * step.abs().mean()


def _chunks(triples: Sequence[tuple[Tensor, ...]]) -> Iterator[tuple[list[Tensor], ...]]:
    """Yield (params, grads, sums) of like dtypes and devices, about as many as go at a time."""
    chunk: list[tuple[Tensor, ...]] = []
    size = 0
    for parts in (part for whole in triples for part in _parts(whole)):
        like = not chunk or all(
            a.dtype == b.dtype and a.device == b.device
            for a, b in zip(parts, chunk[0], strict=True)
        )
        limit = AT_A_TIME.get(parts[0].device.type, 2**24)
        if chunk and (size + parts[0].numel() > limit or not like):
            yield tuple(map(list, zip(*chunk, strict=True)))
            chunk, size = [], 0
        chunk.append(parts)
        size += parts[0].numel()
    if chunk:
        yield tuple(map(list, zip(*chunk, strict=True)))


def _parts(triple: tuple[Tensor, ...]) -> Iterable[tuple[Tensor, ...]]:
    limit = AT_A_TIME.get(triple[0].device.type, 2**24)
    if triple[0].numel() <= limit or not all(t.is_contiguous() for t in triple):
        return (triple,)
    return zip(*(t.view(-1).split(limit) for t in triple), strict=True)
