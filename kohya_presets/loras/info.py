"""What a LoRA file holds: ranks, alphas and norms of its modules, block by block."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from kohya_presets.loras import factors, modules, names, weights
from kohya_presets.loras.modules import Left, Module

_FLUX = ("lora_unet_double_blocks_", "lora_unet_single_blocks_")
_CONTEXTS = {2048: "SDXL", 768: "Stable Diffusion 1", 1024: "Stable Diffusion 2"}


@dataclass(frozen=True)
class Measured:
    """A module and its numbers; `alpha` is None where the file has none."""

    module: Module
    alpha: float | None
    norm: float  # of the change, alpha / rank in it


@dataclass(frozen=True)
class Group:
    """Some modules of one part: a block's, or all of the part's."""

    name: str
    part: str
    modules: tuple[Measured, ...]

    @property
    def norm(self) -> float:
        """The Frobenius norm of all its changes together."""
        return math.sqrt(sum(each.norm**2 for each in self.modules))

    @property
    def ranks(self) -> tuple[int, ...]:
        """The different ranks in it, the smallest first."""
        return tuple(sorted({each.module.rank for each in self.modules}))

    @property
    def alphas(self) -> tuple[float, ...]:
        """The different alphas in it; a missing one is not among them."""
        return tuple(sorted({each.alpha for each in self.modules if each.alpha is not None}))


@dataclass(frozen=True)
class Info:
    """One LoRA file, read whole."""

    file: Path
    size: int  # bytes
    precisions: tuple[str, ...]  # of the matrices, the most frequent first
    all: Group
    others: Mapping[str, int]  # layers changed in another way, counted by kind
    left: Left  # tensors that belong to no module
    metadata: Mapping[str, str]
    data_sha256: str  # of everything after the header

    @property
    def parts(self) -> tuple[Group, ...]:
        """Its modules, grouped by part of the model."""
        return _grouped(self.all, names.part)

    @property
    def blocks(self) -> tuple[Group, ...]:
        """Its modules, grouped by block of the model."""
        return _grouped(self.all, names.block)

    @property
    def rank(self) -> int:
        """The largest rank."""
        return self.all.ranks[-1]

    @property
    def shapes_of(self) -> str | None:
        """The model that the modules fit."""
        return shapes_of([each.module for each in self.all.modules])


def of(file: Path) -> Info:
    """Return what the LoRA in `file` holds.

    Raises:
        UserError: it does not exist, is not a LoRA, is incomplete, or has inf or NaN.
    """
    header = weights.read(file)
    found = modules.of(header)
    with factors.Reader(header) as reader:
        measured = tuple(_measured(reader, module) for module in found.all)
    halves = (name for m in found.all for name in (m.up, m.down))
    dtypes = Counter(header.tensors[name].dtype for name in halves)
    return Info(
        file=file,
        size=header.size,
        precisions=tuple(modules.PRECISIONS.get(dtype, dtype) for dtype, _ in dtypes.most_common()),
        all=Group("all", "all", measured),
        others=found.others,
        left=found.left,
        metadata=header.metadata,
        data_sha256=weights.data_sha256(header),
    )


def shapes_of(found: Sequence[Module]) -> str | None:
    """Return the model that modules fit, by their names or by the width of cross-attention."""
    for module in found:
        if module.name.startswith(_FLUX):
            return "FLUX"
        if module.name.endswith("attn2_to_k"):
            return _CONTEXTS.get(module.shape[1])
    return None


def _measured(reader: factors.Reader, module: Module) -> Measured:
    read = reader.factors(module)
    return Measured(module, read.alpha, factors.norm(read))


def _grouped(whole: Group, by: Callable[[str], str]) -> tuple[Group, ...]:
    return tuple(
        Group(name, names.part(members[0].module.name), members)
        for name, members in (
            (name, tuple(found))
            for name, found in groupby(whole.modules, lambda each: by(each.module.name))
        )
    )
