"""Time a step of all of SDXL's parameters: AdaCoor's, and that of others that people train it with.

Weights are in fp32, then in bfloat16, then in bfloat16 rounded by chance. "all": all weights at
once. "fused": each by itself, as fused-step does as soon as its gradient is there; with rounding
that is so with and without `--fused_backward_pass`. "compiled" is AdaCoor's compiled=True.

What counts is the time for a parameter. Of ours, the compiled ones must be ahead of every rival,
or level with it at the memory's limit: the rounded one too, also of those that are not rounded.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from lion_pytorch import Lion
from torch import nn
from torch.optim import Adagrad, AdamW
from transformers.optimization import Adafactor

from bench import paired, sdxl_shapes
from bench.paired import Rival, Timing
from patches.adacoor.kp_adacoor import AdaCoor
from patches.fused_step.kp_alone import Alone
from patches.fused_step.kp_rounding import Rounding

GROUP = 2.5e7  # parameters; a tensor that has more, up to 63 million, is a group by itself
OURS = ("AdaCoor, all, compiled", "AdaCoor, fused, compiled", "AdaCoor, rounded, compiled")
Weights = Sequence[nn.Parameter]


def main() -> None:
    """Run all in turn, print a table for each dtype of the weights, fail where ours is behind."""
    options = paired.options(__doc__, parameters=GROUP, of="in memory at a time, at most", rounds=5)
    groups = sdxl_shapes.groups(int(options.parameters))
    on = paired.device()
    print(f"A step, {paired.setting(on)}, {options.rounds} rounds\n{_said(groups)}", flush=True)
    failures: list[str] = []
    for dtype in (torch.float32, torch.bfloat16):
        timings, copy = _measured(groups, dtype, options.rounds, on)
        named = {timing.rival.name: timing for timing in timings}
        theirs = [t for t in timings if not t.rival.name.startswith("AdaCoor")]
        print(f"\nweights, gradients and state in {_name(dtype)}; AdaCoor's state in bfloat16")
        first = named[OURS[0]]
        paired.table(first, [t for t in timings if t is not first], copy, unit="parameter")
        for each in (named[name] for name in OURS if name in named):
            failures += paired.judge(each, theirs, copy, unit="parameter")
    if failures:
        sys.exit("\n" + "\n".join(failures))


def _said(groups: Sequence[sdxl_shapes.Group]) -> str:
    every = sum(group.times * group.parameters for group in groups)
    tensors = sum(group.times * len(group.shapes) for group in groups)
    once = sum(group.parameters for group in groups)
    return (
        f"SDXL with both text encoders: {tensors} tensors, {every / 1e9:.2f} G parameters, in "
        f"{sum(group.times for group in groups)} groups, one after the other.\nOf groups of like "
        f"shapes one is measured, and counted for all: {len(groups)} groups, {once / 1e9:.2f} G."
    )


def _measured(
    groups: Sequence[sdxl_shapes.Group], dtype: torch.dtype, rounds: int, on: torch.device
) -> tuple[list[Timing], Timing]:
    """Return the times of all rivals for all groups, and those of `copy_`."""
    parts: dict[str, list[tuple[Timing, int]]] = defaultdict(list)
    for group in groups:
        weights = [nn.Parameter(torch.randn(s, device=on).to(dtype)) for s in group.shapes]
        for weight in weights:
            weight.grad = torch.randn_like(weight) * 1e-3
        # All of them move the same weights: what these are makes no difference to the time.
        rivals = list(_rivals(weights, dtype))
        for timing in paired.measure(rivals, parameters=group.parameters, rounds=rounds, on=on):
            # Without what it ran, which holds weights and state.
            rival = replace(timing.rival, run=_nothing)
            parts[rival.name].append((replace(timing, rival=rival), group.times))
        del rivals
    *timings, copy = (paired.together(each) for each in parts.values())
    return timings, copy


def _rivals(weights: Weights, dtype: torch.dtype) -> Iterator[Rival]:
    size = dtype.itemsize
    for compiled in (True, False):
        name = ", compiled" if compiled else ""
        ours = AdaCoor(weights, compiled=compiled)
        yield Rival(f"AdaCoor, all{name}", ours.step, *_bytes(size, 2))
        alone = _alone(AdaCoor(weights, compiled=compiled), weights, None)
        yield Rival(f"AdaCoor, fused{name}", alone, *_bytes(size, 2))
    for kind, state in ((Adagrad, 1), (AdamW, 2)):
        for fused in (False, True):
            name = f"{kind.__name__}, {'torch fused' if fused else 'foreach'}"
            try:
                theirs = kind(weights, lr=1e-6, foreach=not fused, fused=fused)
            except (RuntimeError, TypeError):  # this torch has no such kernel here
                continue
            yield Rival(name, theirs.step, *_bytes(size, state * size))
    fixed = {"scale_parameter": False, "relative_step": False, "warmup_init": False}
    adafactor = Adafactor(weights, lr=1e-6, **fixed)
    yield Rival("Adafactor", adafactor.step, *_bytes(size, 0))
    yield Rival("Lion", Lion(weights, lr=1e-6).step, *_bytes(size, size))
    if dtype == torch.bfloat16:
        made: tuple[tuple[str, torch.optim.Optimizer, int], ...] = (
            ("AdaCoor, rounded, compiled", AdaCoor(weights, compiled=True), 2),
            ("AdaCoor, rounded", AdaCoor(weights), 2),
            ("AdamW, rounded", AdamW(weights, lr=1e-6), 4),
            ("Lion, rounded", Lion(weights, lr=1e-6), 2),
        )
        for name, optimizer, kept in made:
            yield Rival(name, _alone(optimizer, weights, Rounding(0)), *_bytes(size, kept))


def _nothing() -> None: ...


def _alone(
    optimizer: torch.optim.Optimizer, weights: Weights, rounding: Rounding | None
) -> Callable[[], None]:
    alone = Alone(optimizer, rounding)

    def step() -> None:
        for number, weight in enumerate(weights):
            if rounding:
                rounding.begin(0, number, weight.device)
            alone.step(weight, 0)

    return step


def _bytes(size: int, state: int) -> tuple[int, int]:
    """Return what must be moved for a parameter (state and weight there and back), and kept."""
    return 2 * state + 3 * size, state


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    main()
