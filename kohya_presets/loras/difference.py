"""How much two LoRAs differ in the change they make to the model.

Their matrices are not compared: different matrices can have the same product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.loras import factors, modules, names, weights
from kohya_presets.loras.factors import Reader
from kohya_presets.loras.modules import Left, Module


@dataclass(frozen=True)
class Apart:
    """Two changes, of one layer or of several together: their norms and inner product."""

    name: str
    norm_a: float
    norm_b: float
    inner: float
    distance: float  # norm of a - b

    @property
    def relative(self) -> float | None:
        """The distance divided by the norm of a; None if a changes nothing."""
        return self.distance / self.norm_a if self.norm_a else None

    @property
    def cosine(self) -> float | None:
        """1 for the same direction, 0 for unrelated ones; None if one changes nothing."""
        both = self.norm_a * self.norm_b
        return self.inner / both if both else None


@dataclass(frozen=True)
class Difference:
    """All modules of two files. A module of only one file is compared with zero."""

    files: tuple[Path, Path]
    modules: tuple[Apart, ...]
    lone: tuple[tuple[str, ...], tuple[str, ...]]  # names of those only in a, and only in b
    others: tuple[Mapping[str, int], Mapping[str, int]]  # layers not compared, by how they change
    left: tuple[Left, Left]  # tensors not compared
    scaleless: tuple[int, int]  # modules without alpha where the other file has one

    @property
    def all(self) -> Apart:
        """Both LoRAs as a whole."""
        return _together("all", self.modules)

    @property
    def parts(self) -> tuple[Apart, ...]:
        """The U-Net, and each text encoder."""
        return self._grouped(names.part)

    @property
    def blocks(self) -> tuple[Apart, ...]:
        """Each block of the model."""
        return self._grouped(names.block)

    def _grouped(self, by: Callable[[str], str]) -> tuple[Apart, ...]:
        groups = groupby(self.modules, lambda each: by(each.name))
        return tuple(_together(name, tuple(found)) for name, found in groups)


def between(a: Path, b: Path) -> Difference:
    """Return how much the LoRAs in two files differ.

    Raises:
        UserError: one is not a complete LoRA, or they are for different models.
    """
    headers = (weights.read(a), weights.read(b))
    read = tuple(map(modules.of, headers))
    every = tuple({m.name: m for m in each.all} for each in read)
    _require_same_model(a, b, *every)
    found = _comparable(every, tuple(bool(each.left) for each in read))
    in_order = sorted({**found[0], **found[1]}, key=names.order)
    with Reader(headers[0]) as reader_a, Reader(headers[1]) as reader_b:
        apart = tuple(
            _apart(name, (reader_a, found[0].get(name)), (reader_b, found[1].get(name)))
            for name in in_order
        )
    both = [(found[0][n], found[1][n]) for n in in_order if n in found[0] and n in found[1]]
    return Difference(
        (a, b),
        apart,
        (_lone(found[0], found[1]), _lone(found[1], found[0])),
        (read[0].others, read[1].others),
        (
            modules.left(headers[0], tuple(found[0].values())),
            modules.left(headers[1], tuple(found[1].values())),
        ),
        (
            sum(one.alpha is None and other.alpha is not None for one, other in both),
            sum(other.alpha is None and one.alpha is not None for one, other in both),
        ),
    )


def _comparable(
    every: Sequence[Mapping[str, Module]], left: Sequence[bool]
) -> tuple[Mapping[str, Module], ...]:
    """Return the modules of each file that both have, or that the other one surely lacks.

    Where names are not known, or tensors are left over, it may be there in another form.
    """
    unclear = [
        some or any(name not in other and not names.known(name) for name in one)
        for some, one, other in zip(left, every, every[::-1], strict=True)
    ]
    return tuple(
        {n: m for n, m in one.items() if n in other or (names.known(n) and not hidden)}
        for one, other, hidden in zip(every, every[::-1], unclear[::-1], strict=True)
    )


def _lone(one: Mapping[str, Module], other: Mapping[str, Module]) -> tuple[str, ...]:
    return tuple(sorted(one.keys() - other.keys(), key=names.order))


def _together(name: str, members: tuple[Apart, ...]) -> Apart:
    return Apart(
        name,
        math.sqrt(sum(each.norm_a**2 for each in members)),
        math.sqrt(sum(each.norm_b**2 for each in members)),
        sum(each.inner for each in members),
        math.sqrt(sum(each.distance**2 for each in members)),
    )


def _apart(name: str, a: tuple[Reader, Module | None], b: tuple[Reader, Module | None]) -> Apart:
    read_a, read_b = (reader.factors(module) if module else None for reader, module in (a, b))
    if read_a is None or read_b is None:
        norm_a, norm_b = (factors.norm(read) if read else 0.0 for read in (read_a, read_b))
        return Apart(name, norm_a, norm_b, 0.0, max(norm_a, norm_b))
    found = factors.compared(read_a, read_b)
    return Apart(name, found.norm_a, found.norm_b, found.inner, found.distance)


def _require_same_model(
    a: Path, b: Path, in_a: Mapping[str, Module], in_b: Mapping[str, Module]
) -> None:
    both = [name for name in in_a if name in in_b]
    if not both:
        strange = next((n for n in (*in_a, *in_b) if not names.known(n)), None)
        said = f"; their names are not all known, e.g. {strange}" if strange else ""
        raise UserError(
            f"{a} and {b} have no module in common{said}",
            hint="Compare LoRAs for the same base model.",
        )
    for name in both:
        one, other = _bare(in_a[name].shape), _bare(in_b[name].shape)
        if one != other:
            raise UserError(f"not for the same model: {name} is {one} in {a}, but {other} in {b}")


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without the kernel of a 1x1 convolution, which is a matrix too."""
    return shape if any(size != 1 for size in shape[2:]) else shape[:2]
