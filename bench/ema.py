"""Time one update of the EMA patch's average, in fp32, of weights in fp32 and in bfloat16.

Rivals: a loop over tensors, and diffusers' EMAModel, with its `foreach` and without; of bfloat16
weights it makes an average in bfloat16, so it is also told to keep one in fp32, as ours is. Not
ahead of a rival per byte, nor level with it at the memory's limit, is a failure.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from bench import paired, sdxl_shapes
from bench.paired import Rival
from bench.sdxl_shapes import Sample
from patches.ema import kp_average

DECAY = 0.999


def main() -> None:
    """Run both cases, print their tables, fail where ours is not ahead."""
    options = paired.options(__doc__)
    sample = sdxl_shapes.sample(int(options.parameters))
    on = paired.device()
    print(f"EMA update, {paired.setting(on)}, {options.rounds} rounds\n{sample}")
    cases = [_case(dtype, sample, options.rounds, on) for dtype in (torch.float32, torch.bfloat16)]
    if any(cases):
        sys.exit("\n" + "\n".join(said for case in cases for said in case))


def _case(dtype: torch.dtype, sample: Sample, rounds: int, on: torch.device) -> list[str]:
    made = (torch.randn(shape, device=on).to(dtype) for shape in sample.shapes)
    rivals = list(_rivals(nn.ParameterList(map(nn.Parameter, made))))
    timings = paired.measure(rivals, parameters=sample.parameters, rounds=rounds, on=on)
    print(f"\nweights in {_name(dtype)}")
    return paired.show(timings[0], timings[1:-1], timings[-1])


def _rivals(model: nn.ParameterList) -> Iterator[Rival]:
    weights = list(model)
    dtype = weights[0].dtype
    average = kp_average.Average([model])
    average.start()
    yield Rival(f"ours, {_name(dtype)}", lambda: average.update(DECAY), *_bytes(dtype))
    copies = [w.detach().to(torch.float32, copy=True) for w in weights]
    yield Rival("lerp_ in a loop", lambda: _lerp(copies, weights), *_bytes(dtype))
    for kept in dict.fromkeys((torch.float32, dtype)):
        for foreach in (True, False):
            yield _diffusers(weights, kept, foreach)


def _diffusers(weights: Sequence[nn.Parameter], kept: torch.dtype, foreach: bool) -> Rival:
    theirs = EMAModel(weights, decay=DECAY, foreach=foreach)
    theirs.to(dtype=kept)
    name = f"EMAModel, {_name(kept)}{', foreach' if foreach else ''}"
    return Rival(name, lambda: theirs.step(weights), *_bytes(weights[0].dtype, kept))


def _bytes(weights: torch.dtype, average: torch.dtype = torch.float32) -> tuple[int, int]:
    """Return what must be moved for a parameter (both read, the average written), and kept."""
    return weights.itemsize + 2 * average.itemsize, average.itemsize


@torch.no_grad()
def _lerp(averages: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    for average, weight in zip(averages, weights, strict=True):
        average.lerp_(weight.float(), 1 - DECAY)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    main()
