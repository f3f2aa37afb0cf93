"""A LoRA's numbers, and what can be said of its full matrices without making them.

A module is up (m x r) times down (r x n), r much smaller than m and n. The inner product of two
such products, the sum of all entries of one times those of the other, is

    <U_a D_a, U_b D_b> = trace(D_a^T U_a^T U_b D_b) = sum((U_a^T U_b) * (D_a D_b^T))

where * is entry by entry: r_a x r_b numbers in place of m x n. Norms and distances follow. All in
fp64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kohya_presets.errors import UserError
from kohya_presets.loras.modules import Module
from kohya_presets.loras.weights import Header, Tensor

Matrix = NDArray[np.float64]

CANCELLED = 1e-10  # of both norms' squares; below it, a distance is had a slower, exact way
_STORED = {  # bfloat16, which numpy does not know, is the upper half of a float32
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",  # alphas
    "I32": "<i4",
}


@dataclass(frozen=True)
class Factors:
    """`up` (m x r) and `down` (r x n) with alpha / r in `up`: their product is the change."""

    up: Matrix
    down: Matrix
    alpha: float | None  # None where the file has none


@dataclass(frozen=True)
class Compared:
    """Frobenius norms of a, b and a - b (`distance`), and the inner product of a and b."""

    norm_a: float
    norm_b: float
    inner: float
    distance: float


class Reader:
    """A LoRA file open for its numbers."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._file: BinaryIO = _opened(header.file)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def factors(self, module: Module) -> Factors:
        """Return a module's numbers; a convolution's as one matrix, its kernel among the columns.

        sd-scripts takes an alpha that is missing, or 0, for the rank (networks/lora.py, v0.10.1).

        Raises:
            UserError: a number is not finite, or is stored in an unknown format.
        """
        up = self._read(module.up).reshape(-1, module.rank)
        down = self._read(module.down).reshape(module.rank, -1)
        if module.middle:
            middle = self._read(module.middle)  # r x r x kernel
            down = np.einsum("rs...,sn->rn...", middle, down).reshape(module.rank, -1)
        alpha = float(self._read(module.alpha).reshape(-1)[0]) if module.alpha else None
        return Factors(up * ((alpha or module.rank) / module.rank), down, alpha)

    def _read(self, name: str) -> Matrix:
        tensor = self._header.tensors[name]
        self._file.seek(tensor.start)
        numbers = _numbers(self._file.read(tensor.size), tensor, f"{self._header.file}: {name}")
        if not np.isfinite(numbers).all():
            raise UserError(
                f"{self._header.file}: {name} contains inf or NaN",
                hint="The training diverged, or a number was too large for fp16. Train again.",
            )
        return numbers


def norm(a: Factors) -> float:
    """Return the Frobenius norm of the change."""
    return math.sqrt(max(inner(a, a), 0.0))


def inner(a: Factors, b: Factors) -> float:
    """Return the inner product of two changes of one layer."""
    return float(((a.up.T @ b.up) * (a.down @ b.down.T)).sum())


def compared(a: Factors, b: Factors) -> Compared:
    """Return the norms, inner product and distance of two changes of one layer."""
    norm_a, norm_b, product = norm(a), norm(b), inner(a, b)
    apart = _of_sum(norm_a**2, norm_b**2, -product)
    if apart is None and a.up.shape == b.up.shape:
        apart = _between_alike(a, b)
    return Compared(norm_a, norm_b, product, _between_any(a, b) if apart is None else apart)


def _of_sum(one: float, other: float, product: float) -> float | None:
    """Return |x + y| from |x|^2, |y|^2 and their inner product; None if too few digits remain."""
    squared, total = one + other + 2 * product, one + other
    return math.sqrt(squared) if squared > CANCELLED * total else None if total else 0.0


def _between_alike(a: Factors, b: Factors) -> float | None:
    """Return |a - b| of two with similar factors, such as one file and its copy in another dtype.

    It is the change of one factor and then of the other, (U_a - U_b) D_a + U_b (D_a - D_b).
    """
    one, other = Factors(a.up - b.up, a.down, None), Factors(b.up, a.down - b.down, None)
    return _of_sum(inner(one, one), inner(other, other), inner(one, other))


def _between_any(a: Factors, b: Factors) -> float:
    """Return |a - b|, the norm of [U_a, -U_b] [D_a; D_b], reduced by QR to small triangles."""
    up, down = np.hstack([a.up, -b.up]), np.vstack([a.down, b.down])
    return float(np.linalg.norm(_triangle(up) @ _triangle(down.T).T))


def _triangle(tall: Matrix) -> Matrix:
    found: Any = np.linalg.qr(tall, mode="r")
    triangle: Matrix = found
    return triangle


def _numbers(raw: bytes, tensor: Tensor, where: str) -> Matrix:
    stored = _STORED.get(tensor.dtype)
    if stored is None:
        raise UserError(f"{where} has the type {tensor.dtype}, known: {', '.join(_STORED)}")
    if len(raw) != math.prod(tensor.shape) * np.dtype(stored).itemsize or not raw:
        raise UserError(f"{where}: {len(raw)} bytes do not fit {tensor.shape} as {tensor.dtype}")
    numbers = np.frombuffer(raw, dtype=stored)
    if tensor.dtype == "BF16":
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(np.float64).reshape(tensor.shape)


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise UserError(f"cannot read the LoRA {file}: {error.strerror}") from None
