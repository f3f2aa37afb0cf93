"""The directions in which a matrix is largest, from a block Krylov space.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

With random rows Q, the space of Q, Q A^T A, Q (A^T A)^2, ... holds A's largest directions nearly as
well as their own after a few steps (Golub and Underwood 1977; that this takes fewer products with A
than subspace iteration: Musco and Musco 2015). How many it takes is seen on the way.
"""

from __future__ import annotations

import math

import torch
from library.kp_products import times
from torch import Tensor

TOLERANCE = 1e-3  # of the least squared error: the error itself is at most 1.001 of the least
SETTLED = 3e-8  # of |A|^2: what fp32 cannot tell from nothing
SHRINKING = (0.25, 0.95)  # by what the gain of a step is taken to shrink to that of the next


def largest(
    tall: Tensor, rank: int, norm: float, seed: int, more: int
) -> tuple[Tensor, Tensor, float] | None:
    """Return V (rank x k, orthonormal), V tall^T (rank x length) and the least error there is.

    With K its orthonormal rows (d x k), the r best directions in it are the top eigenvectors of
    (A K^T)^T (A K^T). Their sum of eigenvalues E grows to that of all directions by steps that
    shrink about geometrically: what is still to come is taken to be D rho / (1 - rho), with D the
    last gain and rho its ratio to the one before. (The last gain alone stops too early.)
    """
    length, side = tall.shape
    scale = math.sqrt(side) / norm  # all squared singular values then sum up to `side`
    size = 16 if rank <= 48 else 32
    most = min(_up(7 * rank, size), side * 5 // 8 // size * size)
    generator = torch.Generator(device=tall.device).manual_seed(seed)
    basis = tall.new_empty(most, side)
    images = tall.new_empty(most, length)
    small = tall.new_zeros(most, most)  # images images^T: block tridiagonal in exact arithmetic
    start = torch.randn(size, length, generator=generator, device=tall.device)
    rows, chained = _next_block(times(start, tall) * scale, basis[:0], generator)
    following = torch.empty_like(rows)
    energies: list[float] = []
    between = size if rank <= 64 else 2 * size  # rows from one look at the energy to the next
    enough = _up(2 * (rank + size), size)  # of many values nearly alike, to tell which are best
    first = max(enough - 2 * between, _up(max(rank, 2 * size), size))
    for at in range(0, most, size):
        end = at + size
        basis[at:end] = rows
        image = images[at:end]
        torch.mul(times(rows, tall.T), scale, out=image)
        if chained:
            small[at:end, at:end] = image @ image.T
        else:
            small[at:end, :end] = image @ images[:end].T
        if end >= first and (end - first) % between == 0:
            energies.append(_energy(small[:end, :end], rank, side))
            to_come = _to_come(energies)
            left = max(side - energies[-1], 0.0)
            if end >= enough and to_come <= max(TOLERANCE * left, SETTLED * side):
                more -= 1
            if more < 0:
                inner = small[:end, :end] if chained else images[:end] @ images[:end].T
                return _best_of(inner, basis[:end], images[:end], rank, scale, to_come, norm)
        if end == most:
            return None  # the next method is the sooner one by now
        torch.mul(times(image, tall), scale, out=following)
        rows, still = _next_block(following, basis[:end], generator)
        if not still:  # directions of which nothing is known yet: nothing can be foretold
            chained = False
            energies.clear()
        small[end : end + size, at:end] = rows @ following.T
    return None


def cholesky_rows(rows: Tensor, smallest_pivot: float) -> Tensor | None:
    """Return L (b x b, lower) with rows = L Q, Q orthonormal; None where that loses too much.

    The Gram matrix is scaled to a unit diagonal first, so rows of very different sizes are fine.
    """
    gram = rows @ rows.T
    size = gram.diagonal().sqrt()
    if not bool((size > 0).all()):
        return None
    factor, failed = torch.linalg.cholesky_ex(gram / size / size[:, None])
    if int(failed) or float(factor.diagonal().min()) < smallest_pivot:
        return None
    return factor * size[:, None]


def lower_inverse(factor: Tensor) -> Tensor:
    """Return the inverse of a small lower triangle: multiplying with it is sooner than solving."""
    return torch.linalg.solve_triangular(
        factor, torch.eye(len(factor), device=factor.device), upper=False
    )


def _up(number: int, step: int) -> int:
    return -(-number // step) * step


def _energy(small: Tensor, rank: int, all_of_it: int) -> float:
    """Return the sum of the `rank` largest eigenvalues; exactly where it is nearly all there is."""
    energy = float(torch.linalg.eigvalsh(small)[-rank:].sum())
    if all_of_it - energy > 1e-3 * all_of_it:
        return energy
    return float(torch.linalg.eigvalsh(small.double())[-rank:].sum())


def _to_come(energies: list[float]) -> float:
    """Return how much the energy will still grow, from its last three values; inf for fewer."""
    if len(energies) < 2:
        return math.inf
    last = max(energies[-1] - energies[-2], 0.0)
    if last <= SETTLED * energies[-1]:
        return last
    if len(energies) < 3:
        return math.inf
    before = max(energies[-2] - energies[-3], 1e-30)
    rho = min(max(last / before, SHRINKING[0]), SHRINKING[1])
    return last * rho / (1 - rho)


def _best_of(
    inner: Tensor,
    basis: Tensor,
    images: Tensor,
    rank: int,
    scale: float,
    to_come: float,
    norm: float,
) -> tuple[Tensor, Tensor, float]:
    """Return the `rank` best directions of a space, their images, and the least error of any."""
    values, vectors = torch.linalg.eigh(inner)
    top = vectors[:, -rank:].flip(1).T
    left = norm**2 - (float(values[-rank:].double().sum()) + to_come) / scale**2
    return top @ basis, (top @ images).div_(scale), math.sqrt(max(left, 0.0))


def _next_block(rows: Tensor, basis: Tensor, generator: torch.Generator) -> tuple[Tensor, bool]:
    """Return b orthonormal rows, of what `rows` add to `basis`, and whether they are only that.

    Directions that add nothing (the space is exhausted, or nearly) are replaced by random ones.
    """
    before = torch.linalg.vector_norm(rows, dim=1)
    block = rows
    for known in (basis[-2 * len(rows) :], basis):  # the two before are nearly all there is in it
        block = block - (block @ known.T) @ known
        if bool((torch.linalg.vector_norm(block, dim=1) <= 1e-4 * before).any()):
            return _refilled(block, before, basis, generator), False
        factor = cholesky_rows(block, 1e-2)
        if factor is None:
            return _refilled(block, before, basis, generator), False
        block = lower_inverse(factor) @ block
        before = torch.linalg.vector_norm(block, dim=1)
    return block, True


def _refilled(rows: Tensor, before: Tensor, basis: Tensor, generator: torch.Generator) -> Tensor:
    """Return orthonormal rows: those directions of `rows` that are there, and random ones."""
    rows = rows / before.clamp(min=1e-30)[:, None]
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    there = values > 1e-6 * max(float(values[-1]), 1e-8)
    random = torch.randn(rows.shape, generator=generator, device=rows.device)
    kept = (vectors.T @ rows) / values.clamp(min=1e-30).sqrt()[:, None]
    rows = torch.where(there[:, None], kept, random / math.sqrt(rows.shape[1]))
    for _ in range(3):
        rows = rows - (rows @ basis.T) @ basis
        rows = torch.linalg.qr(rows.T).Q.T
    return rows.contiguous()
