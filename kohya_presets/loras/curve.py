"""What a LoRA of each rank would keep of a fine-tuning, and how large its file would be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.loras import names

DIRECT = 128  # the guide's newest way: extracted at this rank
HIGH, LOW = 512, 16  # its older one: extracted at HIGH, resized to LOW
LITTLE = 0.01  # of the squared change; a doubling of the rank that adds less is not worth it
_HALF = 2  # bytes of fp16


@dataclass(frozen=True)
class Spectrum:
    """One module: `energy` is its change's squared norm, `retained` what each rank keeps of it."""

    name: str
    shape: tuple[int, ...]
    energy: float
    retained: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """Some modules together, and what of their squared change each rank keeps: 0 to 1."""

    name: str
    modules: int
    norm: float
    retained: tuple[float, ...]


@dataclass(frozen=True)
class Detour:
    """One module extracted at `low`, and at `high` then resized: see kp_detour.py."""

    name: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Rounding:
    """What two formats do to the difference: see `Rounding` in patches/fast_lora/kp_difference.py.

    `left_out` says whether the base was rounded alike before it was subtracted.
    """

    base: str
    tuned: str
    whole: float
    rounding: float
    alike: float
    left_out: bool


@dataclass(frozen=True)
class Curve:
    """All modules that changed, at each of `ranks`; `unchanged` counts the others."""

    ranks: tuple[int, ...]
    modules: tuple[Spectrum, ...]
    unchanged: int
    detours: tuple[Detour, ...]
    rounding: Rounding | None  # None: the formats are the same, or rounding changes nothing

    @property
    def all(self) -> Row:
        """All modules together."""
        return _row("all", self.modules)

    @property
    def parts(self) -> tuple[Row, ...]:
        """The U-Net, and each text encoder that changed."""
        return self._rows(names.part)

    @property
    def blocks(self) -> tuple[Row, ...]:
        """Each block of the model that changed."""
        return self._rows(names.block)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of the fp16 file at each rank, without its metadata (about 1 kB)."""
        return tuple(file_size(self.modules, rank) for rank in self.ranks)

    def _rows(self, by: Callable[[str], str]) -> tuple[Row, ...]:
        grouped = groupby(self.modules, lambda module: by(module.name))
        return tuple(_row(name, tuple(members)) for name, members in grouped)


def of(measured: Mapping[str, Any]) -> Curve:
    """Return the curve of what wrapper/ranks/kp_rank.py measured.

    Raises:
        UserError: nothing changed.
    """
    found = [
        Spectrum(m["name"], tuple(m["shape"]), m["norm"] ** 2, tuple(m["retained"]))
        for m in measured["modules"]
    ]
    changed = sorted((m for m in found if m.energy), key=lambda m: names.order(m.name))
    if not changed:
        raise UserError(
            "the tuned model and the base have the same weights in all layers that a LoRA changes",
            hint="Use the trained model, and the base model it was trained from.",
        )
    detours = (
        Detour(c["name"], {key: value for key, value in c.items() if key != "name"})
        for c in measured["detour"]["modules"]
    )
    rounding = measured.get("rounding")
    return Curve(
        tuple(measured["ranks"]),
        tuple(changed),
        len(found) - len(changed),
        tuple(detours),
        Rounding(**rounding) if rounding else None,
    )


def file_size(modules: Sequence[Spectrum], rank: int) -> int:
    """Return the bytes of a LoRA of `rank` in fp16, with its header as safetensors writes it."""
    header: dict[str, Any] = {}
    end = 0
    for module in modules:
        out, into, *kernel = module.shape
        least = min(rank, out, math.prod((into, *kernel)))
        shapes = {
            "alpha": [],
            "lora_down.weight": [least, into, *kernel],
            "lora_up.weight": [out, least, *(1 for _ in kernel)],
        }
        for name, shape in shapes.items():
            start, end = end, end + _HALF * math.prod(shape)
            entry = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
            header[f"{module.name}.{name}"] = entry
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + -(-length // 8) * 8 + end  # padded to 8


def enough(curve: Curve) -> int | None:
    """Return the index of the first rank after which no doubling adds LITTLE, or None.

    All later doublings count: if a change is spread evenly, like noise, the first add least.
    """
    kept = curve.all.retained
    adding = [at for at, now in enumerate(kept[:-1]) if kept[at + 1] - now >= LITTLE]
    index = adding[-1] + 1 if adding else 0
    return index if index < len(kept) - 1 else None


def reaching(curve: Curve, part: float) -> int | None:
    """Return the index of the first rank that keeps this part of the squared change."""
    return next((at for at, kept in enumerate(curve.all.retained) if kept >= part), None)


def _row(name: str, modules: Sequence[Spectrum]) -> Row:
    energy = math.fsum(module.energy for module in modules)
    columns = zip(*(module.retained for module in modules), strict=True)
    retained = (
        math.fsum(m.energy * kept for m, kept in zip(modules, column, strict=True)) / energy
        for column in columns
    )
    return Row(name, len(modules), math.sqrt(energy), tuple(min(kept, 1.0) for kept in retained))
