"""Whether extracting at a high rank and resizing equals extracting at the low rank, in numbers.

The guide extracts at 512 and resizes to 16 (or extracts at 128). In exact arithmetic the first 16
parts of the first 512 parts of a singular value decomposition are its first 16 parts: both ways
end with the same LoRA. What can tell them apart is what happens to the 512 in between: they are
stored as fp16, and sd-scripts clamps them (--clamp_quantile; 0.99 where it is not given).

Runs in the trainer's Python, with the mathematics of the patch fast-lora.
"""

from __future__ import annotations

import torch
from torch import Tensor

from patches.fast_lora import kp_extract, kp_factors, kp_lowrank

QUANTILE = 0.99  # sd-scripts' default

Halves = tuple[Tensor, Tensor]  # up (m x r) and down (r x n)


@torch.no_grad()
def check(matrix: Tensor, high: int, low: int) -> dict[str, float]:
    """Return how far both ways end from `matrix` (m x n, fp32), and from each other.

    Both begin with the same decomposition, as both do in sd-scripts, and no step is approximate:
    where singular values are nearly the same, as of noise, it would pick others of the same size.

    `direct` and `through` are distances from the matrix per its norm, `apart` that of the two
    results per the direct one's norm. Without suffix all is fp32; `_fp16` stores each file's
    matrices as fp16; `_clamped` clamps them before, as sd-scripts does when it is not told to.
    """
    norm = kp_lowrank.norm_of(matrix)
    made = kp_lowrank.truncate(matrix, high)
    between = (made.up, made.down)
    made = made.cut(low)
    direct = (made.up, made.down)
    found = {}
    for suffix, stored in (("", _as_is), ("_fp16", _half), ("_clamped", _clamped)):
        one = stored(direct)
        # Only the extraction clamps; what is resized is stored as it comes.
        other = (_as_is if stored is _as_is else _half)(_resized(stored(between), low))
        one_norm = max(_distance(one, None), torch.finfo(torch.float32).tiny)
        found[f"direct{suffix}"] = _distance(one, matrix) / norm
        found[f"through{suffix}"] = _distance(other, matrix) / norm
        found[f"apart{suffix}"] = _distance(other, one[0] @ one[1]) / one_norm
    return found


def _resized(halves: Halves, rank: int) -> Halves:
    found = kp_factors.decompose(*halves)  # all of it: its own, looser way is not what is asked
    return found.left[:, :rank] * found.values[:rank], found.right[:rank]


def _distance(halves: Halves, matrix: Tensor | None) -> float:
    product = halves[0] @ halves[1]
    return kp_lowrank.norm_of(product if matrix is None else product - matrix)


def _as_is(halves: Halves) -> Halves:
    return halves


def _half(halves: Halves) -> Halves:
    up, down = (half.half().float() for half in halves)
    return up, down


def _clamped(halves: Halves) -> Halves:
    return _half(kp_extract.clamp(*halves, QUANTILE))
