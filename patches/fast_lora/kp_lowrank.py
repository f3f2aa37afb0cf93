"""The best approximation of a matrix by one of small rank, with what it costs.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

By Eckart and Young (1936) no matrix of rank r is nearer to a matrix than the first r parts of its
singular value decomposition. Their distance is the root of the sum of the other values' squares.
All of the decomposition is many times the work of its first parts. Here these come from a block
Krylov space, grown until the error is as good as least; for ranks that are no small part of the
matrix, from the eigenvectors of its Gram matrix.

The error is known without the matrix: where `directions` are orthonormal rows, and `images` is
directions tall^T, |tall - images^T directions|^2 = |tall|^2 - |images|^2. That every result meets
this is checked (the certificate).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from . import kp_krylov
from .kp_products import lower_gram, times

FLOOR = 2e-4  # of the norm: what fp32 may add to the error; the fp16 of a LoRA file adds 3e-4
GRAM_FROM = 0.11  # rank per smaller side: from here on, the eigenvectors of all are had sooner
ORTHONORMAL = 1e-3  # how far rows may be from it
SMALL_RESIDUAL = 1e-4  # of norm^2: below it, the difference of squares is measured directly


# (tall, rank, norm, seed, more) -> directions (rank x side, orthonormal), their images
# directions tall^T (rank x length), and the least possible error; None: it did not get there.
Kept = tuple[Tensor, Tensor, float]
Method = Callable[[Tensor, int, float, int, int], "Kept | None"]


class NotCertifiedError(ArithmeticError):
    """No method gave a result that its own check confirms."""


@dataclass(frozen=True)
class LowRank:
    """`up` (m x r) times `down` (r x n, rows of length 1), and how far that is from the matrix.

    `values` are the r singular values, largest first. `norm`, `error` and `best` (the least
    possible error at this rank, estimated from below) are Frobenius norms.
    """

    up: Tensor
    down: Tensor
    values: Tensor
    norm: float
    error: float
    best: float
    method: str

    @property
    def rank(self) -> int:
        """How many parts it has."""
        return len(self.values)

    def cut(self, rank: int) -> LowRank:
        """Return the approximation by the first `rank` of the parts."""
        if rank >= self.rank:
            return self
        lost = float(self.values[rank:].double().square().sum())
        return replace(
            self,
            up=self.up[:, :rank],
            down=self.down[:rank],
            values=self.values[:rank],
            error=math.sqrt(self.error**2 + lost),
            best=math.sqrt(self.best**2 + lost),
        )


@torch.no_grad()
def truncate(matrix: Tensor, rank: int, *, seed: int = 0, more: int = 0) -> LowRank:
    """Return the approximation of `matrix` (m x n, fp32) by one of `rank`, or of what it has.

    Its error is at most 1.001 of the least possible, or FLOOR norm above that: `error` is computed,
    the least is foretold from how it shrank. (Of 652 spectra, many made to mislead it, 8 came to
    1.0010 to 1.0017, a few values that tower over flat noise among them.) `seed` decides the random
    start: the same gives the same. `more` steps after that is reached bring the parts
    themselves, not just their error, to those of the whole decomposition.

    Raises:
        ValueError: it holds something that is not finite, or `rank` is below 1.
        NotCertifiedError: even the whole decomposition does not check.
    """
    if rank < 1:
        raise ValueError(f"expected a rank of 1 or more, found {rank}")
    rank = min(rank, *matrix.shape)
    norm = norm_of(matrix)
    if not math.isfinite(norm):
        raise ValueError("expected finite numbers, found inf or nan")
    if norm == 0:
        return _nothing(matrix, rank)
    # The long side's rows are what is multiplied; the short side's space is what is searched.
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    for name, method in _methods(rank, tall.shape[1]).items():
        found = method(tall, rank, norm, seed, more)
        if found is not None:
            made = _made(matrix, tall, *found, norm, name)
            if made is not None:
                return made
    raise NotCertifiedError(f"no decomposition of a {tuple(matrix.shape)} matrix of norm {norm:g}")


def norm_of(matrix: Tensor) -> float:
    """Return the Frobenius norm; rows in the matrix's precision, their sum in double precision."""
    norm = _norm(matrix)
    if 1e-12 < norm < 1e15:
        return norm
    largest = float(torch.linalg.vector_norm(matrix, math.inf))  # squares may have left fp32
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * _norm(matrix / largest)


def _norm(matrix: Tensor) -> float:
    return float(torch.linalg.vector_norm(matrix, dim=1).double().square().sum().sqrt())


def _methods(rank: int, side: int) -> dict[str, Method]:
    """Return those to try, the soonest first."""
    slower: dict[str, Method] = {"gram": _gram, "svd": _svd}
    return slower if rank > GRAM_FROM * side else {"krylov": kp_krylov.largest, **slower}


def _gram(tall: Tensor, rank: int, norm: float, seed: int, more: int) -> Kept | None:
    """Return directions, images and least error from all eigenvectors of tall^T tall."""
    scale = math.sqrt(tall.shape[1]) / norm
    scaled = tall * scale
    try:
        values, vectors = torch.linalg.eigh(lower_gram(scaled.T))
    except torch.linalg.LinAlgError:
        return None
    directions = vectors[:, -rank:].flip(1).T.contiguous()
    left = float(values[:-rank].clamp(min=0).double().sum()) / scale**2
    return directions, times(directions, tall.T), math.sqrt(left)


def _svd(tall: Tensor, rank: int, norm: float, seed: int, more: int) -> Kept | None:
    """Return directions, images and least error from the whole decomposition."""
    _, values, directions = torch.linalg.svd(tall / norm, full_matrices=False)
    left = float(values[rank:].double().square().sum())
    return directions[:rank], directions[:rank] @ tall.T, math.sqrt(left) * norm


def _made(
    matrix: Tensor,
    tall: Tensor,
    directions: Tensor,
    images: Tensor,
    best: float,
    norm: float,
    method: str,
) -> LowRank | None:
    """Return the result from orthonormal rows and their images, None where the check fails."""
    gram = (directions @ directions.T).double()
    off = float((gram - _eye(gram)).abs().max())
    unit = images / norm
    if not off <= ORTHONORMAL or not math.isfinite(norm_of(unit)):
        return None
    # |tall - images^T directions|^2, exactly, for directions that are nearly orthonormal.
    kept = float(((unit @ unit.T).double() * (2 * _eye(gram) - gram)).sum())
    squared = 1 - kept
    if squared < SMALL_RESIDUAL:
        squared = _residual(tall, directions, images, norm)
    error = norm * math.sqrt(squared)
    values = torch.linalg.vector_norm(unit, dim=1) * norm  # whose squares may be beyond fp32
    if matrix.shape[0] >= matrix.shape[1]:
        up, down = images.T, directions
    else:
        up = directions.T * values
        down = images / values.clamp(min=torch.finfo(values.dtype).tiny)[:, None]
    best = max(min(best, error) - FLOOR * norm, 0.0)
    return LowRank(up, down, values, norm, error, best, method)


def _residual(tall: Tensor, directions: Tensor, images: Tensor, norm: float) -> float:
    """Return |tall - images^T directions|^2 / norm^2, a piece at a time."""
    total = 0.0
    for rows, image in zip(tall.split(1024), images.split(1024, dim=1), strict=True):
        total += norm_of(torch.addmm(rows, image.T, directions, alpha=-1) / norm) ** 2
    return total


def _eye(like: Tensor) -> Tensor:
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


def _nothing(matrix: Tensor, rank: int) -> LowRank:
    rows, columns = matrix.shape
    zeros = matrix.new_zeros
    up, down = zeros(rows, rank), torch.eye(rank, columns, dtype=matrix.dtype, device=matrix.device)
    return LowRank(up, down, zeros(rank), 0.0, 0.0, 0.0, "nothing")
