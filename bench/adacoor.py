"""Time a step of AdaCoor, its state in bfloat16 (as published) and in fp32; weights are in fp32.

Ours is the compiled one. Rivals: ours without that, the formula in a loop over tensors, and torch's
Adagrad and AdamW, `foreach` and `fused` where this torch has that. Not ahead of one per byte, nor
level with it at the memory's limit, is a failure. On a CPU, torch's `fused` ones are told only:
they are written by hand for it, they compute something else, and nobody fine-tunes SDXL there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Adagrad, AdamW

from bench import paired, sdxl_shapes
from bench.paired import Rival
from patches.adacoor import kp_adacoor

EPSILON = 1e-8
WEIGHT, GRADIENT = 4, 4  # bytes
TORCHS = ((Adagrad, 4), (AdamW, 8))  # bytes of state
DTYPES = (torch.bfloat16, torch.float32)  # of AdaCoor's state


def main() -> None:
    """Run all in turn, print a table for each state, fail where ours is not ahead."""
    options = paired.options(__doc__)
    sample = sdxl_shapes.sample(int(options.parameters))
    on = paired.device()
    print(f"AdaCoor's step, {paired.setting(on)}, {options.rounds} rounds\n{sample}")
    # All of them move the same weights: what these are makes no difference to the time.
    weights = [nn.Parameter(torch.randn(shape, device=on)) for shape in sample.shapes]
    for weight in weights:
        weight.grad = torch.randn_like(weight) * 1e-3
    rivals = (
        *_ours(weights, compiled=True),
        *_ours(weights, compiled=False),
        *_loops(weights),
        *_torchs(weights),
    )
    *timings, copy = paired.measure(
        rivals, parameters=sample.parameters, rounds=options.rounds, on=on
    )
    told = {r.name for r in rivals if r.name.endswith(", fused")} if on.type == "cpu" else set()
    not_ahead: list[str] = []
    for ours, eager, loop in zip(timings[:2], timings[2:4], timings[4:6], strict=True):
        print()
        not_ahead += paired.show(ours, [eager, loop, *timings[6:]], copy, told=told)
    if not_ahead:
        sys.exit("\n" + "\n".join(not_ahead))


def _ours(weights: Sequence[nn.Parameter], *, compiled: bool) -> Iterator[Rival]:
    for dtype in DTYPES:
        optimizer = kp_adacoor.AdaCoor(
            weights, epsilon=EPSILON, state_dtype=_name(dtype), compiled=compiled
        )
        name = f"ours, {_name(dtype)}, {'compiled' if compiled else 'eager'}"
        yield Rival(name, optimizer.step, *_bytes(dtype.itemsize))


def _loops(weights: Sequence[nn.Parameter]) -> Iterator[Rival]:
    for dtype in DTYPES:
        sums = [torch.zeros_like(w, dtype=dtype) for w in weights]
        yield Rival(f"loop, {_name(dtype)}", _loop(weights, sums), *_bytes(dtype.itemsize))


def _loop(weights: Sequence[nn.Parameter], sums: Sequence[Tensor]) -> Callable[[], None]:
    @torch.no_grad()
    def step() -> None:
        for p, v in zip(weights, sums, strict=True):
            g = p.grad
            assert g is not None
            v.copy_(v.float().addcmul_(g, g, value=EPSILON))
            p.addcdiv_(g, v.float().sqrt().add_(EPSILON), value=-EPSILON)

    return step


def _torchs(weights: Sequence[nn.Parameter]) -> Iterator[Rival]:
    for kind, state in TORCHS:
        for fused in (False, True):
            name = f"{kind.__name__}, {'fused' if fused else 'foreach'}"
            try:
                optimizer = kind(weights, lr=1e-6, foreach=not fused, fused=fused)
            except (RuntimeError, TypeError) as error:  # this torch has no such kernel here
                print(f"no {name}: {error}")
                continue
            yield Rival(name, optimizer.step, *_bytes(state))


def _bytes(state: int) -> tuple[int, int]:
    """Return what must be moved for a parameter (state and weight there and back), and kept."""
    return 2 * state + 2 * WEIGHT + GRADIENT, state


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    main()
