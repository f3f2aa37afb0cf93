"""Time a step of AdaCoor and AdamW: all weights at once, and each by itself, as fused-step does.

And with stochastic rounding, where weights and state are in bfloat16. What a user waits for is the
time of a parameter (ns/param), beside that of all weights at once in fp32. Nothing is a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from bench import paired, sdxl_shapes
from bench.paired import Rival
from patches.adacoor.kp_adacoor import AdaCoor
from patches.fused_step import kp_alone
from patches.fused_step.kp_alone import Alone
from patches.fused_step.kp_rounding import Rounding

Make = Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]
# Bytes of state for each parameter, in fp32 and in bfloat16.
OPTIMIZERS: tuple[tuple[str, Make, tuple[int, int]], ...] = (
    ("AdaCoor", lambda weights: AdaCoor(weights), (2, 2)),
    ("AdamW", lambda weights: torch.optim.AdamW(weights, lr=1e-6), (8, 4)),
)


def main() -> None:
    """Run all in turn, print a table for each optimizer."""
    options = paired.options(__doc__)
    sample = sdxl_shapes.sample(int(options.parameters))
    on = paired.device()
    print(f"A step, {paired.setting(on)}, {options.rounds} rounds\n{sample}")
    for name, make, states in OPTIMIZERS:
        rivals = list(_rivals(name, make, states, sample.shapes, on))
        *timings, copy = paired.measure(
            rivals, parameters=sample.parameters, rounds=options.rounds, on=on
        )
        print(f"\n{'':<30}{'ms':>9}{'ns/param':>10}{'x first':>9}")
        for each in (*timings, copy):
            one = 1e9 * each.median / each.parameters
            first = 1e9 * timings[0].median / timings[0].parameters
            print(f"{each.rival.name:<30}{1e3 * each.median:9.1f}{one:10.3f}{one / first:9.2f}")


def _rivals(
    name: str,
    make: Make,
    states: tuple[int, int],
    shapes: Sequence[tuple[int, ...]],
    on: torch.device,
) -> Iterator[Rival]:
    for dtype, state in zip((torch.float32, torch.bfloat16), states, strict=True):
        weights = [nn.Parameter(torch.randn(shape, device=on).to(dtype)) for shape in shapes]
        for weight in weights:
            weight.grad = torch.randn_like(weight) * 1e-3
        size = dtype.itemsize
        moved = 2 * state + 3 * size
        called = f"{name}, {str(dtype).removeprefix('torch.')}"
        yield Rival(f"{called}, all", make(weights).step, moved, state)
        yield Rival(f"{called}, alone", _alone(make(weights), weights, None), moved, state)
        if dtype == torch.bfloat16:
            rounded = _alone(make(weights), weights, Rounding(0))
            yield Rival(f"{called}, rounded", rounded, moved, state)


def _alone(
    optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter], rounding: Rounding | None
) -> Callable[[], None]:
    assert kp_alone.name_of(optimizer)
    alone = Alone(optimizer, rounding)

    def step() -> None:
        for number, weight in enumerate(weights):
            if rounding:
                rounding.begin(0, number, weight.device)
            alone.step(weight, 0)

    return step


if __name__ == "__main__":
    main()
