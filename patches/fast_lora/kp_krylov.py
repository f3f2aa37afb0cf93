"""The directions in which a matrix is largest, from a block Krylov space.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

With random rows X, the space of X, X tall^T tall, X (tall^T tall)^2, ... holds the largest
directions of `tall` nearly as well as their own after a few steps (Golub and Underwood 1977; that
this takes fewer products with it than subspace iteration: Musco and Musco 2015). How many it takes
is seen on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .kp_products import lower_gram, times

TOLERANCE = 1.9e-3  # of the least squared error: the error itself is at most 1.001 of the least
SETTLED = 3e-8  # of norm^2: what fp32 cannot tell from nothing
SHRINKING = (0.15, 0.95)  # by what the gain of a step is taken to shrink to that of the next
SLOWLY = 0.4  # from here on, it will shrink slower still than it seems
ALIKE = 0.01  # squared values so near to each other; flat noise has 0.024 over a block and more


def largest(
    tall: Tensor, rank: int, norm: float, seed: int, more: int
) -> tuple[Tensor, Tensor, float] | None:
    """Return directions (rank x side, orthonormal), their images, and the least error there is.

    Images are directions tall^T (rank x length). With `basis` the space's orthonormal rows, the
    best directions in it are the top eigenvectors of basis tall^T tall basis^T. The sum of their
    eigenvalues, `energy`, grows to that of all directions by steps that shrink about geometrically;
    see `_to_come`.
    """
    side = tall.shape[1]
    size = 16 if rank <= 48 else 32
    between = size if rank <= 64 else 2 * size  # rows from one look at the energy to the next
    after = more * between  # rows, once the energy is enough
    most = min(_up(7 * rank, size), side * 5 // 8 // size * size - after)
    enough = _up(2 * (rank + size), size)  # of many values nearly alike, to tell which are best
    first = max(enough - 2 * between, _up(max(rank, 2 * size), size))
    # All squared singular values then sum up to `side`.
    space = _Space(tall, math.sqrt(side) / norm, size, most + after, seed)
    energies: list[float] = []
    soon = False
    for filled in range(first, most + 1, between):
        if not space.grow(filled):  # directions of which nothing is known yet: nor is what to come
            energies.clear()
        parts = space.parts(rank, with_directions=soon)
        energies.append(parts.energy)
        to_come, next_time = _to_come(energies)
        tolerable = max(TOLERANCE * (side - parts.energy), SETTLED * side)
        if filled >= enough and to_come <= tolerable:
            if after or not soon:
                space.grow(filled + after)
                parts = space.parts(rank, with_directions=True)
            return None if parts.alike(size) else space.best(parts, to_come, norm)
        soon = not after and filled + between >= enough and next_time <= tolerable
    return None  # the next method is the sooner one by now


@dataclass(frozen=True)
class _Parts:
    """The largest eigenvalues (ascending), their sum, and their vectors as rows (rank x filled)."""

    values: Tensor
    energy: float
    directions: Tensor | None

    def alike(self, size: int) -> bool:
        """Return whether a block's worth of the values is about the same.

        Of a value that a matrix has many times, a Krylov space finds as many as a block has rows;
        the others are missing, whatever the energy says.
        """
        if len(self.values) < size:
            return False
        upper, lower = self.values[size - 1 :], self.values[: len(self.values) - size + 1]
        there = upper > SETTLED * self.energy
        return bool((there & (upper - lower <= ALIKE * upper)).any())


class _Space:
    """A block Krylov space of tall^T tall, which grows by `size` directions at a time.

    `basis` (filled x side) are its orthonormal rows, `images` (filled x length) is
    scale basis tall^T, and `gram` (filled x filled, its lower triangle) is images images^T. In
    exact arithmetic that has but three diagonals of blocks, and two of them are known without the
    images: so it is computed as long as no block had to be made up (`chained`).
    """

    def __init__(self, tall: Tensor, scale: float, size: int, most: int, seed: int) -> None:
        length, side = tall.shape
        self.tall, self.scale, self.size = tall, scale, size
        self.generator = torch.Generator(device=tall.device).manual_seed(seed)
        self.basis = tall.new_empty(most, side)
        self.images = tall.new_empty(most, length)
        self.gram = tall.new_zeros(most, most)
        self.filled = 0
        self.chained = True

    def grow(self, filled: int) -> bool:
        """Grow to `filled` rows; return whether they are only what follows from those before."""
        followed = True
        while self.filled < filled:
            followed &= self._add()
        return followed

    def _add(self) -> bool:
        """Add a block; return whether it is only what follows from the last one."""
        at = slice(self.filled, self.filled + self.size)
        if self.filled:
            last = slice(self.filled - self.size, self.filled)
            following = times(self.images[last], self.tall).mul_(self.scale)
            rows, follows = _next_block(following, self.basis[: self.filled], self.generator)
            self.gram[at, last] = rows @ following.T
        else:
            size = (self.size, self.basis.shape[1])
            start = torch.randn(size, generator=self.generator, device=self.tall.device)
            rows, follows = _next_block(start, self.basis[:0], self.generator)
        self.chained &= follows
        self.filled += self.size
        self.basis[at] = rows
        image = self.images[at]
        torch.mul(times(rows, self.tall.T), self.scale, out=image)
        known = at if self.chained else slice(self.filled)
        self.gram[at, known] = image @ self.images[known].T
        return follows

    def parts(self, rank: int, with_directions: bool) -> _Parts:
        """Return the `rank` largest parts of `tall` in this space.

        Their energy is computed in double precision where it is nearly all there is.
        """
        gram = self.gram[: self.filled, : self.filled]
        directions = None
        if with_directions:
            values, vectors = torch.linalg.eigh(gram)
            directions = vectors[:, -rank:].flip(1).T
        else:
            values = torch.linalg.eigvalsh(gram)
        energy = float(values[-rank:].double().sum())
        side = self.basis.shape[1]
        if side - energy <= 1e-3 * side:
            energy = float(torch.linalg.eigvalsh(gram.double())[-rank:].sum())
        return _Parts(values[-rank:], energy, directions)

    def best(self, parts: _Parts, to_come: float, norm: float) -> tuple[Tensor, Tensor, float]:
        """Return the directions of `parts`, their images, and the least error of any."""
        left = norm**2 - (parts.energy + to_come) / self.scale**2
        return (
            times(parts.directions, self.basis[: self.filled]),
            times(parts.directions, self.images[: self.filled]).div_(self.scale),
            math.sqrt(max(left, 0.0)),
        )


def cholesky_rows(rows: Tensor, smallest_pivot: float) -> Tensor | None:
    """Return `lower` (b x b) with rows = lower Q, Q orthonormal; None where that loses too much."""
    lengths, lower = _cholesky(rows, smallest_pivot)
    return None if lower is None else lower.mul_(lengths[:, None])


def _cholesky(rows: Tensor, smallest_pivot: float) -> tuple[Tensor, Tensor | None]:
    """Return the rows' lengths, and `lower` (b x b) with rows = diag(lengths) lower Q, or None.

    The rows of `lower` have length 1, so `rows` of very different lengths are fine.
    """
    gram = lower_gram(rows)
    lengths = gram.diagonal().sqrt()
    lower, failed = torch.linalg.cholesky_ex(gram.div_(lengths).div_(lengths[:, None]))
    # What is not a number, as for a row of zeros, is no more than the smallest either.
    fine = not bool(failed) and float(lower.diagonal().min()) >= smallest_pivot
    return lengths, lower if fine else None


def _up(number: int, step: int) -> int:
    return -(-number // step) * step


def _to_come(energies: list[float]) -> tuple[float, float]:
    """Return how much the energy will still grow, and how much after the next step; inf if unknown.

    The last gain is taken to shrink to rho last, rho^2 last, ... with rho = last / before: to come
    is last rho / (1 - rho). (The last gain alone stops too early.) Where it shrinks slowly,
    as for values that fall in a line, rho itself grows with each step: up to twice as much is
    expected there.
    """
    if len(energies) < 2:
        return math.inf, math.inf
    last = max(energies[-1] - energies[-2], 0.0)
    if last <= SETTLED * energies[-1]:
        return last, last
    if len(energies) < 3:
        return math.inf, math.inf
    before = max(energies[-2] - energies[-3], 1e-30)
    rho = min(max(last / before, SHRINKING[0]), SHRINKING[1])
    to_come = last * rho / (1 - rho) * (1 + min(rho / SLOWLY, 1) ** 2)
    return to_come, to_come * rho


def _next_block(rows: Tensor, basis: Tensor, generator: torch.Generator) -> tuple[Tensor, bool]:
    """Return b orthonormal rows, of what `rows` add to `basis`, and whether they are only that.

    Directions that add nothing (the space is exhausted, or nearly) are replaced by random ones.
    """
    before = torch.linalg.vector_norm(rows, dim=1)
    block = rows
    # The two blocks before are nearly all there is in it. Random rows are nearly orthonormal.
    for known in (basis[-2 * len(rows) :], basis) if len(basis) else (basis,):
        if len(known):
            block = torch.addmm(block, times(block, known.T), known, alpha=-1)
        lengths, lower = _cholesky(block, 1e-2)
        if lower is None or bool((lengths <= 1e-4 * before).any()):
            return _refilled(block, before, basis, generator), False
        # To multiply with the inverse of a small triangle is sooner than to solve.
        turn = torch.linalg.solve_triangular(lower, torch.diag(1 / lengths), upper=False)
        block = turn @ block
        before = torch.ones_like(lengths)
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
