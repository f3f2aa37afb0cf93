"""Products with large matrices, by whichever of torch's libraries is sooner at it.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

On a CPU, torch multiplies fp32 by MKL, which copies all of a matrix into an order of its own first
and does not use AVX-512 on AMD's. For 16 to 128 rows that is much of the work. oneDNN, which torch
has for its neural networks, does neither.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

WORTH = 2**23  # multiplications, from which oneDNN makes up for 10 microseconds more of a call
FEW = 128  # rows, up to which the large matrix had better be first: oneDNN rearranges the second
PIECE = 64  # rows of a Gram matrix that are computed at a time


def times(rows: Tensor, matrix: Tensor) -> Tensor:
    """Return rows (b x n) times matrix (n x m), in fp32."""
    # Of other strides than these, oneDNN has an implementation that takes a thousand times as long.
    plain = rows.is_contiguous() and (matrix.is_contiguous() or matrix.T.is_contiguous())
    large = rows.shape[0] * matrix.numel() >= WORTH
    if not (plain and large and rows.device.type == "cpu" and _by_onednn()):
        return rows @ matrix
    if len(rows) <= FEW and not matrix.is_contiguous():
        return _onednn(matrix.T, rows.T).T.contiguous()
    return _onednn(rows, matrix)


def lower_gram(rows: Tensor) -> Tensor:
    """Return the lower triangle of rows rows^T (b x b), and above it whatever there is."""
    if len(rows) <= PIECE or rows.device.type != "cpu":
        return rows @ rows.T
    gram = rows.new_empty(len(rows), len(rows))
    for at in range(0, len(rows), PIECE):
        piece = rows[at : at + PIECE]
        gram[at : at + PIECE, : at + PIECE] = times(piece, rows[: at + PIECE].T)
    return gram


def _onednn(rows: Tensor, matrix: Tensor) -> Tensor:
    # What torch.compile calls for a linear layer. It takes the weight as m x n, as a view too.
    call = torch.ops.mkldnn._linear_pointwise
    made: Tensor = call(rows, matrix.T, None, "none", [], "")
    return made


@functools.cache
def _by_onednn() -> bool:
    """Return whether this torch has oneDNN's product, and it is one."""
    rows, matrix = torch.rand(2, 3), torch.rand(3, 5)
    try:
        return torch.allclose(_onednn(rows, matrix), rows @ matrix)
    except (AttributeError, RuntimeError):  # not built in, or called otherwise
        return False
