"""What a LoRA file holds: rank, dtype, and which of SDXL's three models its modules belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kohya_presets import weights
from kohya_presets.errors import UserError
from kohya_presets.problems import plural

DOWN = ".lora_down.weight"
_PRECISIONS = {"F16": "fp16", "BF16": "bf16", "F32": "fp32"}


@dataclass(frozen=True)
class Lora:
    """One LoRA file. A module is a pair of matrices for one layer; `ranks` counts them by rank."""

    file: Path
    size: int  # bytes
    precision: str
    ranks: Mapping[int, int]
    unet: int
    text_encoder_1: int
    text_encoder_2: int
    metadata: Mapping[str, str]

    @property
    def rank(self) -> int:
        """The largest rank; layers smaller than it, or that never moved, have less."""
        return max(self.ranks)

    def __str__(self) -> str:
        modules = plural(self.unet, "module")
        return (
            f"rank {self.rank}, {self.precision}, {self.size / 1e6:.1f} MB, U-Net {modules}, "
            f"text encoder 1 {self.text_encoder_1}, text encoder 2 {self.text_encoder_2}"
        )


def describe(file: Path) -> Lora:
    """Return what the LoRA in `file` holds.

    Raises:
        UserError: it is not there, is no LoRA, or was cut short.
    """
    header = weights.read(file)
    downs = {name: t for name, t in header.tensors.items() if name.endswith(DOWN)}
    if not downs:
        raise UserError(f"expected a LoRA, {file} is {weights.kind(header)}")
    lone = [n for n in downs if n.replace(DOWN, ".lora_up.weight") not in header.tensors]
    if lone:
        raise UserError(f"{file} lacks the other half of {lone[0]}", hint="Make it again.")
    dtypes = Counter(tensor.dtype for tensor in downs.values())
    dtype = dtypes.most_common(1)[0][0]
    return Lora(
        file=file,
        size=header.size,
        precision=_PRECISIONS.get(dtype, dtype),
        ranks=Counter(tensor.shape[0] for tensor in downs.values()),
        unet=_count(downs, "lora_unet_"),
        text_encoder_1=_count(downs, "lora_te1_"),
        text_encoder_2=_count(downs, "lora_te2_"),
        metadata=header.metadata,
    )


def _count(names: Mapping[str, object], prefix: str) -> int:
    return sum(name.startswith(prefix) for name in names)
