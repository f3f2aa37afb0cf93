"""What to change where GPU memory does not suffice: the smallest change first.

First what leaves the training as it is (checkpointing computes again what it does not keep, other
attention computes the same in smaller pieces), then the same images in a step in more parts, then
another optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from kohya_presets.memory import estimate
from kohya_presets.sdscripts import arguments, optimizers
from kohya_presets.training.settings import Settings
from wrapper.watching.situation import Changes

WASTE = 0.95  # of a GPU's memory can be used: the allocator's fragments, the screen
ATTENTIONS = ("sdpa", "xformers", "mem_eff_attn")
EIGHT_BITS = ("8bit", "adafactor", "adacoor")  # their state is small already, in a name
# On a GPU, sd-scripts' tools use the main memory where no device is named.
_TOOLS_DEVICE = "cpu"


@dataclass(frozen=True)
class Saving:
    """A change of the preset: what it does to the training, and whether a state survives it."""

    changes: Changes
    why: str
    keeps_state: bool


def of(settings: Settings, stage: str = "train") -> tuple[Saving, ...]:
    """Return what the settings leave to be saved, the smallest change first."""
    if stage in ("extract", "resize"):
        return () if settings.tool(stage, "device") == _TOOLS_DEVICE else (_on_cpu(stage),)
    return tuple(_of_training(settings)) if stage == "train" else ()


def smallest(
    settings: Settings, stage: str = "train", *, gpu_gib: float | None = None
) -> tuple[Saving, ...]:
    """Return the first savings that together fit `gpu_gib`, by the estimate; () if none is left.

    Without that, or if the estimate knows of none that fits, it is the first one alone: what ran
    out of memory once needs more than was estimated.
    """
    every = of(settings, stage)
    before = _needs(settings)
    for count in range(1, len(every) + 1):
        needs = _needs(applied(settings, every[:count]))
        if gpu_gib and before and needs and needs < before and needs <= gpu_gib * WASTE:
            return every[:count]
    return every[:1]


def applied(settings: Settings, savings: tuple[Saving, ...]) -> Settings:
    """Return the settings with the savings made."""
    tables = {name: dict(table) for name, table in settings.tables.items()}
    for name, value in ((n, v) for saving in savings for n, v in saving.changes.items()):
        table, _, key = name.partition(".")
        if value == "unset":
            tables.get(table, {}).pop(key, None)
        else:
            tables.setdefault(table, {})[key] = value
    return replace(settings, tables=tables)


def _of_training(s: Settings) -> Iterator[Saving]:
    if s.train("enable_ema") and s.train("ema_device") not in (None, "cpu"):
        yield Saving({"train.ema_device": "cpu"}, "a little slower; the result is the same", True)
    if not s.train("gradient_checkpointing"):
        why = "slower by about a third; the result is the same"
        yield Saving({"train.gradient_checkpointing": True}, why, keeps_state=True)
    if not any(s.train(name) for name in ATTENTIONS):
        yield Saving({"train.sdpa": True}, "faster too; the result is the same", keeps_state=True)
    yield from _batch(s)
    if eight := _eight_bits(s):
        why = "the optimizer's state is rounded, so training changes a little"
        yield Saving({"train.optimizer_type": eight}, why, keeps_state=False)


def _batch(s: Settings) -> Iterator[Saving]:
    """Yield the same number of images in a step, one by one."""
    batch, steps = s.dataset("batch_size") or 1, s.train("gradient_accumulation_steps") or 1
    if not isinstance(batch, int) or batch < 2 or s.train("fused_backward_pass"):
        return  # with fused_backward_pass, sd-scripts refuses accumulation
    table, key = s.where("batch_size")
    changes: dict[str, Any] = {
        f"{table}.{key}": 1,
        "train.gradient_accumulation_steps": batch * steps,
    }
    why = f"{batch * steps} images in a step as before, but one by one, which is slower"
    yield Saving(changes, why, keeps_state=False)


def _eight_bits(s: Settings) -> str | None:
    """Return the name of the same optimizer with a state in 8 bits, if sd-scripts has one."""
    name = s.training.optimizer
    if any(word in name for word in EIGHT_BITS):
        return None
    eight = optimizers.named(f"{name.replace('32bit', '')}8bit")
    known = arguments.of_optimizer(eight.name) if eight else None
    if eight is None or (known and known.wrong_name(eight.name, s.training.optimizer_args)):
        return None
    return eight.name


def _on_cpu(stage: str) -> Saving:
    return Saving({f"{stage}.device": _TOOLS_DEVICE}, "slower; the result is the same", True)


def _needs(settings: Settings) -> float | None:
    found = estimate.of(settings)
    return found.total / estimate.GIB if found else None
