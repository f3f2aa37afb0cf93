"""What a LoRA file holds: rank, dtype, and which of SDXL's three models its modules belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.loras import modules, names, weights
from kohya_presets.loras.modules import Left
from kohya_presets.problems import plural


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
    left: Left  # tensors that belong to no module

    @property
    def rank(self) -> int:
        """The largest rank; small layers, and layers without change, have less."""
        return max(self.ranks)

    def __str__(self) -> str:
        of_unet = plural(self.unet, "module")
        others = sum(self.ranks.values()) - self.unet - self.text_encoder_1 - self.text_encoder_2
        rest = f", other {others}" if others else ""
        rest += f"; not read: {self.left}" if self.left else ""
        return (
            f"rank {self.rank}, {self.precision}, {self.size / 1e6:.1f} MB, U-Net {of_unet}, "
            f"text encoder 1 {self.text_encoder_1}, text encoder 2 {self.text_encoder_2}{rest}"
        )


def describe(file: Path) -> Lora:
    """Return what the LoRA in `file` holds.

    Raises:
        UserError: it does not exist, is not a LoRA, or is incomplete.
    """
    header = weights.read(file)
    read = modules.of(header)
    found = read.all
    dtypes = Counter(header.tensors[module.down].dtype for module in found)
    parts = Counter(names.part(module.name) for module in found)
    dtype = dtypes.most_common(1)[0][0]
    return Lora(
        file=file,
        size=header.size,
        precision=modules.PRECISIONS.get(dtype, dtype),
        ranks=Counter(module.rank for module in found),
        unet=parts["U-Net"],
        text_encoder_1=parts["text encoder 1"],
        text_encoder_2=parts["text encoder 2"],
        metadata=header.metadata,
        left=read.left,
    )
