"""The singular value decomposition of a product of two thin matrices, without the product.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

A LoRA is up (m x R) times down (R x n) with R much smaller than m and n. With up^T = up_lower Q_up
and down = down_lower Q_down, both Q of orthonormal rows, the product's decomposition is that of the
small core up_lower^T down_lower (R x R), turned by Q_up and Q_down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import kp_krylov, kp_lowrank
from .kp_products import times

SMALLEST_PIVOT = 3e-3  # of Cholesky's; below it, Householder's slower way loses less
MORE = 3  # steps: what fp32 tells of the first parts is then had
PART = 0.12  # wanted rank per rank there is, up to which the first parts of the core are had sooner


@dataclass(frozen=True)
class Decomposed:
    """`left` (m x p, orthonormal columns), `values` (p, descending) and `right` (p x n)."""

    left: Tensor
    values: Tensor
    right: Tensor


@torch.no_grad()
def decompose(up: Tensor, down: Tensor, rank: int | None = None) -> Decomposed:
    """Return the decomposition of up (m x R) down (R x n), or of its `rank` largest parts.

    All of it are min(R, m, n) parts; the product's other singular values are 0.

    Raises:
        ValueError: the shapes do not fit, or something is not finite.
    """
    if up.shape[1] != down.shape[0]:
        found = f"{tuple(up.shape)} and {tuple(down.shape)}"
        raise ValueError(f"expected as many columns of up as rows of down, found {found}")
    up_lower, turn_up = _triangular(up.float().T)
    down_lower, turn_down = _triangular(down.float())
    core = times(up_lower.T, down_lower)
    if rank is not None and rank <= PART * min(core.shape):
        first = kp_lowrank.truncate(core, rank, more=MORE)
        values = first.values
        left = first.up / values.clamp(min=torch.finfo(values.dtype).tiny)
        return Decomposed(turn_up(left.T).T, values, turn_down(first.down))
    left, values, right = torch.linalg.svd(core, full_matrices=False)
    return Decomposed(turn_up(left[:, :rank].T).T, values[:rank], turn_down(right[:rank]))


def _triangular(rows: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return `lower` (R x q) with rows (R x n) = lower Q, Q orthonormal, and what gives x Q."""
    lower = kp_krylov.cholesky_rows(rows, SMALLEST_PIVOT)
    if lower is not None:  # so all are finite: to look at each takes as long as all else
        return (
            lower,
            lambda x: times(torch.linalg.solve_triangular(lower, x, upper=False, left=False), rows),
        )
    if not torch.isfinite(rows).all():
        raise ValueError("expected finite numbers, found inf or nan")
    columns, upper = torch.linalg.qr(rows.T)
    return upper.T, lambda x: x @ columns.T
