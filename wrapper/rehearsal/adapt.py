"""The rehearsal: the same job on a miniature SDXL, without the settings that need a GPU.

What is replaced is decided here, and every replacement is printed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import optimizers

ROOM = Path(__file__).parent
STANDIN = ROOM / "standin"
SEED = 42
STEPS = 12  # enough for the smallest learning rate of the catalogue to show in fp16
FULL_STEPS = 3  # at SDXL's true size
MOST_STEPS = 4 * STEPS  # a preset that trains no longer is rehearsed as long as it trains
WARM_UP = 3  # steps: a quarter of them
EMA_DECAY = 0.5
SIDE = 64  # pixels; a latent of 8 x 8
SAMPLE_STEPS = 4
TOLD = f"--w {SIDE} --h {SIDE} --s {SAMPLE_STEPS}"
THREADS = 1  # on a busy machine, two wait for each other until a step takes seconds
ENV = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OMP_NUM_THREADS": str(THREADS),
}
_SIZE = re.compile(r"[whs] \d", re.IGNORECASE)  # an option of a prompt
_HALF = ("mixed_precision", "full_fp16", "full_bf16")
_CPU_ONLY_REASON = "needs a GPU"
_REPLACED: Mapping[str, tuple[Any, str]] = {  # option -> what it becomes (None: left out), and why
    "mixed_precision": ("no", "a CPU only emulates fp16"),
    "full_fp16": (None, _CPU_ONLY_REASON),
    "full_bf16": (None, _CPU_ONLY_REASON),
    "fp8_base": (None, _CPU_ONLY_REASON),
    "xformers": (None, _CPU_ONLY_REASON),
    "torch_compile": (None, "compiling takes longer than the rehearsal"),
    "deepspeed": (None, _CPU_ONLY_REASON),
    "use_8bit_adam": (None, _CPU_ONLY_REASON),
    "persistent_data_loader_workers": (None, "no workers are started"),
    "max_train_steps": (None, "the rehearsal sets its own number of steps"),
}


@dataclass(frozen=True)
class Replacement:
    """One setting of the preset that the rehearsal replaces; None is "not set"."""

    key: str
    was: Any
    now: Any
    why: str

    def __str__(self) -> str:
        was, now = ("not set" if v is None else v for v in (self.was, self.now))
        return f"{self.key}: {was} -> {now} ({self.why})"


def adapt(
    preset: Preset, images: int, *, full_size: bool = False
) -> tuple[Preset, tuple[Replacement, ...]]:
    """Return the preset to rehearse with `images` images, and every replaced setting.

    At `full_size` precision stays where a CPU has it, and only training is rehearsed.
    """
    several = FULL_STEPS if full_size else STEPS
    train, data = dict(preset.train), dict(preset.dataset)
    changes: list[Replacement] = []

    def change(values: dict[str, Any], table: str, key: str, now: Any, why: str) -> None:
        was = values.get(key)
        if was == now:
            return
        values.pop(key, None)
        if now is not None:
            values[key] = now
        changes.append(Replacement(f"{table}.{key}", was, now, why))

    for key, (now, why) in _REPLACED.items():
        if key in train and not (full_size and key in _HALF):
            change(train, "train", key, now, why)
    if full_size and (train.get("full_fp16") or train.get("full_bf16")):
        as_large = "as large as fp16, which a CPU cannot train with"
        change(train, "train", "full_fp16", None, as_large)
        change(train, "train", "full_bf16", True, as_large)
        change(train, "train", "mixed_precision", "bf16", as_large)
    elif full_size:
        change(train, "train", "mixed_precision", *_REPLACED["mixed_precision"])
    optimizer = optimizers.named(str(train.get("optimizer_type", "")))
    if optimizer and optimizer.plain:
        change(
            train, "train", "optimizer_type", optimizer.plain, f"{optimizer.package} needs a GPU"
        )
    epochs = 1 if full_size else _epochs(train, data, images)
    change(train, "train", "max_train_epochs", epochs, f"about {several} steps")
    for key in ("lr_warmup_steps", "lr_decay_steps"):  # below 1: a part of all steps
        if train.get(key, 0) > WARM_UP:
            change(train, "train", key, WARM_UP, f"the rehearsal takes about {several} steps")
    if train.get("enable_ema"):
        now = min(train.get("ema_decay", EMA_DECAY), EMA_DECAY)
        change(train, "train", "ema_decay", now, f"makes {STEPS} steps visible in the average")
    change(train, "train", "max_data_loader_n_workers", 0, "starting workers takes too long")
    small = "small images for a CPU"
    change(data, "dataset", "resolution", [SIDE, SIDE], small)
    if data.get("enable_bucket"):
        change(data, "dataset", "min_bucket_reso", SIDE, small)
        change(data, "dataset", "max_bucket_reso", 2 * SIDE, small)
    if preset.prompts:
        prompts = [_small(line) for line in preset.prompts]
        changes.append(Replacement("samples.prompts", "their size and steps", TOLD, small))
        preset = replace(preset, samples={"prompts": prompts})
    tools = {}
    for table in ("extract", "resize"):
        values = getattr(preset, table)
        if full_size and values is not None:
            why = "what it takes does not depend on the preset"
            changes.append(Replacement(f"[{table}]", "a LoRA", None, why))
            values = None
        if values is not None:
            values = dict(values)
            if "device" in values:
                change(values, table, "device", "cpu", _CPU_ONLY_REASON)
        tools[table] = values
    return replace(preset, train=train, dataset=data, **tools), tuple(changes)


def _small(line: str) -> str:
    """Return a line of prompts for a small picture of few steps; its last words count."""
    words = [part for part in line.split(" --") if not _SIZE.match(part)]
    return " --".join([*words, f"w {SIDE}", f"h {SIDE}", f"s {SAMPLE_STEPS}"])


def in_front(observed: Path, *, standin: bool, full_size: bool = False) -> tuple[str, ...]:
    """Return what is run in front of each script.

    It writes into the folder `observed` what the script used, and shrinks SDXL in that process; at
    `full_size` it measures memory instead.
    """
    miniature = "kp_full_size.py" if full_size else "kp_miniature.py"
    module = "kp_observed.py" if standin else miniature
    return (str(ROOM / module), str(observed))


def _epochs(train: Mapping[str, Any], data: Mapping[str, Any], images: int) -> int:
    batch: int = data.get("batch_size", train.get("train_batch_size", 1))
    batches = math.ceil(images * data.get("num_repeats", 1) / batch)
    steps: int = math.ceil(batches / train.get("gradient_accumulation_steps", 1))
    asked: int = train.get("max_train_epochs") or 0
    if 0 < asked * steps <= MOST_STEPS:
        return asked
    return max(1, -(-STEPS // steps))
