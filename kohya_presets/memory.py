"""The GPU memory that a full fine-tune of SDXL takes: arithmetic over measured numbers.

Measured by `tools/measure_memory.py` on sd-scripts v0.10.1 without a GPU: the real modules, full
size, forward and backward and the step of each optimizer, on tensors that hold no data. It counts
what torch's allocator hands out.

"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets import optimizer_state
from kohya_presets.optimizer_state import MODELS, Cost
from kohya_presets.preset import Preset, Table
from kohya_presets.problems import Place, Problem

FACTS = Path(__file__).parent / "facts" / "memory.json"
SCRIPT = "sdxl_train.py"
GIB = 2**30
OVERHEAD = GIB  # modeled: CUDA's context, cuDNN's and cuBLAS's work space
SIZE = (1024, 1024)  # where a preset has none, which sd-scripts refuses
EMA_BYTES = 4  # for each trained weight: the patch keeps it in fp32
EFFICIENT = ("mem_eff_attn", "xformers", "sdpa")  # all keep the same tensors for backward


@dataclass(frozen=True)
class Moment:
    """What is in GPU memory at one time of a training step: bytes by part."""

    name: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Estimate:
    """A training step's four moments; as text, a table of them in GiB."""

    moments: tuple[Moment, ...]
    notes: tuple[str, ...] = ()

    @property
    def peak(self) -> Moment:
        """The moment that needs the most."""
        return max(self.moments, key=lambda moment: moment.total)

    @property
    def parts(self) -> Mapping[str, int]:
        """Bytes by part when the most is needed."""
        return self.peak.parts

    @property
    def total(self) -> int:
        """Bytes of GPU memory that the training needs."""
        return self.peak.total

    def __str__(self) -> str:
        names = [name for name in PARTS if any(moment.parts.get(name) for moment in self.moments)]
        rows = [[name, *(m.parts.get(name, 0) for m in self.moments)] for name in names]
        ...
