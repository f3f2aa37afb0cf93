"""Exponential moving average of weights that are being trained.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

The warm-up of the decay is that of sd-scripts' pull request 893; what differs from it: the average
is kept in fp32 whatever the weights' dtype, and moved for all tensors at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .kp_moving import Mover, lerp


def decay_at(step: int, *, decay: float, beta: float, steps: int) -> float:
    """Return the decay of the update after optimizer step `step` (from 1) of `steps`.

    With beta: min(decay, decay * (1 - exp(-beta * step / steps))); without: the smaller of decay
    and (1 + step) / (10 + step).
    """
    if not beta:
        return min(decay, (1 + step) / (10 + step))
    return min(decay, decay * (1 - math.exp(-beta * step / steps)))


def left_of_the_start(steps: int, *, decay: float, beta: float) -> float:
    """Return which part of the average would still be the first weights after `steps` steps."""
    return math.prod(decay_at(n, decay=decay, beta=beta, steps=steps) for n in range(1, steps + 1))


def trained(models: Sequence[nn.Module]) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, each once, by "number of the model.name"."""
    found: dict[nn.Parameter, str] = {}
    for number, model in enumerate(models):
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                found.setdefault(parameter, f"{number}.{name.removeprefix('module.')}")
    return {name: parameter for parameter, name in found.items()}


class Average:
    """Average of what is trained of `models`, in fp32.

    Costs 4 bytes per parameter: 10.3 GB for an SDXL U-Net, 13.6 GB with both text encoders.

    Args:
        models: Their parameters must stay the same objects.
        device: Where the average lives; None keeps each tensor beside its parameter. An average on
            the CPU of weights on a GPU takes no GPU memory, and is moved while the next step
            computes: call `wait` before the weights change.
    """

    def __init__(
        self, models: Sequence[nn.Module], device: torch.device | str | None = None
    ) -> None:
        self.parameters = trained(models)
        self.device = device
        self.tensors: dict[str, Tensor] = {}
        self._modules = [module for model in models for module in model.modules()]
        self._mover: Mover | None = None

    def start(self) -> None:
        """Set the average to the weights as they are."""
        self.tensors = {
            name: p.detach().to(self.device or p.device, torch.float32, copy=True)
            for name, p in self.parameters.items()
        }

    def state(self) -> dict[str, Tensor]:
        """Return the average, to be saved."""
        self.wait()
        return {name: tensor.contiguous() for name, tensor in self.tensors.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take the average from a `state`.

        Raises:
            ValueError: it is of other weights.
        """
        wanted = {name: p.shape for name, p in self.parameters.items()}
        found = {name: tensor.shape for name, tensor in state.items()}
        if found != wanted:
            other = [n for n in {**wanted, **found} if wanted.get(n) != found.get(n)]
            raise ValueError(f"the average is of other weights: {len(other)} differ ({other[0]})")
        self.tensors = {
            name: state[name].to(self.device or p.device, torch.float32)
            for name, p in self.parameters.items()
        }

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average: average <- decay * average + (1 - decay) * weights."""
        self.wait()
        pairs = [(self.tensors[name], p.detach()) for name, p in self.parameters.items()]
        lerp([(a, w) for a, w in pairs if a.device == w.device], 1 - decay)
        if away := [(a, w) for a, w in pairs if a.device != w.device]:
            self._mover = Mover(away, 1 - decay)

    def wait(self) -> None:
        """Return once the last update has read the weights and is done."""
        if self._mover is not None:
            mover, self._mover = self._mover, None
            mover.finish()

    @contextmanager
    def in_place_of_weights(self) -> Iterator[None]:
        """Let the models hold the average inside the block, unrounded and where it lives.

        The weights themselves, and the optimizer, see nothing of it.
        """
        self.wait()
        averages = {p: nn.Parameter(self.tensors[n], False) for n, p in self.parameters.items()}
        held = [
            (module, attribute, parameter)
            for module in self._modules
            for attribute, parameter in module._parameters.items()
            if parameter in averages
        ]
        for module, attribute, parameter in held:
            module._parameters[attribute] = averages[parameter]
        try:
            yield
        finally:
            for module, attribute, parameter in held:
                module._parameters[attribute] = parameter

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Let the models compute with the average inside the block, on the weights' own device.

        Where the average has another dtype or device, it is rounded into the weights, which wait
        on the CPU meanwhile: that takes no GPU memory.
        """
        self.wait()
        pairs = [(self.tensors[name], p.detach()) for name, p in self.parameters.items()]
        if all(a.device == w.device and a.dtype == w.dtype for a, w in pairs):
            with self.in_place_of_weights():
                yield
            return
        held = [w.to("cpu", copy=True) for _, w in pairs]
        for average, weight in pairs:
            weight.copy_(average)
        try:
            yield
        finally:
            for (_, weight), own in zip(pairs, held, strict=True):
                weight.copy_(own)
