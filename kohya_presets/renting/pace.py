"""How fast a training is on a GPU: figures that somebody measured, for settings that are the same.

The pace depends on much more than the GPU. A figure counts only where script, precision,
resolution, batch size, gradient checkpointing and cached latents are the same; else the pace is
unknown. What else differs (optimizer, trained parts, the machine) makes it a rough figure still.
"""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.renting.gpus import Gpu
from kohya_presets.toml import source as toml_source
from kohya_presets.training.settings import Settings

FILE = Path(__file__).parent / "pace.toml"


@dataclass(frozen=True)
class Conditions:
    """What a measurement depends on, beside the GPU; `resolution` is in pixels."""

    script: str
    precision: str
    resolution: tuple[int, int] | None
    batch_size: int
    gradient_checkpointing: bool
    cache_latents: bool

    def __str__(self) -> str:
        size = "{} x {}".format(*self.resolution) if self.resolution else "resolution not known"
        checkpointing = "with" if self.gradient_checkpointing else "no"
        latents = "with" if self.cache_latents else "no"
        return (
            f"{self.script}, {self.precision}, {size}, batch size {self.batch_size}, "
            f"{checkpointing} gradient checkpointing, {latents} cached latents"
        )


@dataclass(frozen=True)
class Measured:
    """A published figure: steps of sd-scripts' progress bar per second, on one GPU."""

    gpu: str
    steps_per_second: float
    conditions: Conditions
    date: datetime.date
    source: str

    def __str__(self) -> str:
        return f"{self.steps_per_second:g} it/s for {self.conditions} ({self.date}, {self.source})"


@functools.cache
def every() -> tuple[Measured, ...]:
    """Return all figures."""
    found = []
    for table in toml_source.read(FILE).values["measured"]:
        width, height = table["resolution"]
        names = ("script", "precision", "batch_size", "gradient_checkpointing", "cache_latents")
        conditions = Conditions(**{n: table[n] for n in names}, resolution=(width, height))
        speed = table["steps_per_second"]
        found.append(Measured(table["gpu"], speed, conditions, table["date"], table["source"]))
    return tuple(found)


def conditions(settings: Settings) -> Conditions:
    """Return what the pace of a training depends on.

    The precision is that of sd-scripts' options: full_bf16 or full_fp16, else mixed_precision.
    """
    full = next((key for key in ("full_bf16", "full_fp16") if settings.train(key)), None)
    precision = full or str(settings.train("mixed_precision") or "no")
    batch = int(settings.dataset("batch_size") or 1)
    on = [bool(settings.train("gradient_checkpointing")), bool(settings.train("cache_latents"))]
    return Conditions(settings.script, precision, settings.sides(), batch, *on)


def of(gpu: Gpu, wanted: Conditions) -> Measured | None:
    """Return the newest figure for a GPU under these conditions, or None."""
    found = [one for one in about(gpu) if one.conditions == wanted]
    return max(found, key=lambda one: one.date, default=None)


def about(gpu: Gpu) -> list[Measured]:
    """Return all figures for a GPU, under any conditions."""
    return [one for one in every() if one.gpu == gpu.name]
