"""The rehearsal: the same job on a miniature SDXL, with what cannot matter on a CPU replaced.

`adapt` decides what is replaced and says each of it; `images` draws a small dataset.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.files import image_folder
from kohya_presets.presets.preset import Preset
from wrapper.runs.job import REHEARSAL_THREADS
from wrapper.system.launch import RUN_MARK, Launch
from wrapper.runs.manifest import Run, Stage

TRAINER_SIDE = Path(__file__).parent / "trainer_side"
STANDIN = Path(__file__).parent / "standin"
SEED = 42
STEPS = 12  # enough for the smallest learning rate of the catalogue to show in fp16
EMA_DECAY = 0.5
SIDE = 64  # pixels; a latent of 8 x 8
IMAGES = 6
MOST_IMAGES = 24  # of a given folder
ENV = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OMP_NUM_THREADS": str(REHEARSAL_THREADS),
}
_CPU_ONLY_REASON = "needs a GPU"
_REPLACED: Mapping[str, tuple[Any, str]] = {  # option -> what it becomes (None: left out), and why
    "mixed_precision": ("no", "fp16 on a CPU is emulated"),
    "full_fp16": (None, _CPU_ONLY_REASON),
    "full_bf16": (None, _CPU_ONLY_REASON),
    "fp8_base": (None, _CPU_ONLY_REASON),
    "xformers": (None, _CPU_ONLY_REASON),
    "torch_compile": (None, "compiling takes longer than the rehearsal"),
    "deepspeed": (None, _CPU_ONLY_REASON),
    "use_8bit_adam": (None, _CPU_ONLY_REASON),
    "persistent_data_loader_workers": (None, "no workers are started"),
    "max_train_steps": (None, "the rehearsal counts its own"),
}
_EIGHT_BIT = {
    "adamw8bit": "AdamW",
    "pagedadamw8bit": "AdamW",
    "pagedadamw32bit": "AdamW",
    "lion8bit": "Lion",
    "pagedlion8bit": "Lion",
    "sgdnesterov8bit": "SGDNesterov",
}


@dataclass(frozen=True)
class Change:
    """One setting of the preset that the rehearsal replaces; None is "not given"."""

    key: str
    was: Any
    now: Any
    why: str

    def __str__(self) -> str:
        was, now = ("not given" if v is None else v for v in (self.was, self.now))
        return f"{self.key}: {was} -> {now} ({self.why})"


def adapt(preset: Preset, images: int) -> tuple[Preset, tuple[Change, ...]]:
    """Return the preset as it is rehearsed on `images` images, and what is not as it was."""
    train, data = dict(preset.train), dict(preset.dataset)
    changes: list[Change] = []

    def change(values: dict[str, Any], table: str, key: str, now: Any, why: str) -> None:
        was = values.get(key)
        if was == now:
            return
        values.pop(key, None)
        if now is not None:
            values[key] = now
        changes.append(Change(f"{table}.{key}", was, now, why))

    for key, (now, why) in _REPLACED.items():
        if key in train:
            change(train, "train", key, now, why)
    if plain := _EIGHT_BIT.get(str(train.get("optimizer_type", "")).lower()):
        change(train, "train", "optimizer_type", plain, "8-bit states need a GPU")
    change(train, "train", "max_train_epochs", _epochs(train, data, images), f"about {STEPS} steps")
    if train.get("enable_ema"):
        now = min(train.get("ema_decay", EMA_DECAY), EMA_DECAY)
        change(train, "train", "ema_decay", now, f"so that {STEPS} steps show in the average")
    change(train, "train", "max_data_loader_n_workers", 0, "a worker takes longer to start")
    small = "a miniature for a CPU"
    change(data, "dataset", "resolution", [SIDE, SIDE], small)
    if data.get("enable_bucket"):
        change(data, "dataset", "min_bucket_reso", SIDE, small)
        change(data, "dataset", "max_bucket_reso", 2 * SIDE, small)
    tools = {}
    for table in ("extract", "resize"):
        values = getattr(preset, table)
        if values is not None:
            values = dict(values)
            if "device" in values:
                change(values, table, "device", "cpu", _CPU_ONLY_REASON)
        tools[table] = values
    return replace(preset, train=train, dataset=data, **tools), tuple(changes)


def images(folder: Path, count: int = IMAGES) -> None:
    """Draw `count` captioned images of differing sizes into `folder`: same count, same images."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True)
    dice = random.Random(SEED)
    for number in range(count):
        size = (SIDE + 16 * dice.randrange(4), SIDE + 16 * dice.randrange(4))
        picture = Image.new("RGB", size, tuple(dice.randrange(256) for _ in range(3)))
        box = sorted(dice.randrange(min(size)) for _ in range(2))
        color = tuple(dice.randrange(256) for _ in range(3))
        ImageDraw.Draw(picture).ellipse((box[0], box[0], box[1] + 8, box[1] + 8), fill=color)
        picture.save(folder / f"a disc ({number + 1}).png")
        caption = folder / f"a disc ({number + 1}).txt"
        caption.write_text(f"a disc, number {number + 1}", encoding="utf-8", newline="\n")


def copy_some(data: Path, folder: Path, caption_extension: str) -> None:
    """Copy the first `MOST_IMAGES` images of `data` with their captions into `folder`."""
    folder.mkdir(parents=True)
    for image in image_folder.images(data)[:MOST_IMAGES]:
        shutil.copy2(image, folder)
        if (caption := image_folder.caption(image, caption_extension)).is_file():
            shutil.copy2(caption, folder)


def in_front(standin: bool) -> tuple[str, ...]:
    """Return what is run in front of each real script: it shrinks SDXL in that process."""
    return () if standin else (str(TRAINER_SIDE / "kp_miniature.py"),)


def miniature(run_dir: Path, scripts: Path, python: str, *, standin: bool) -> Stage:
    """Return the stage that makes the checkpoint and the tokenizers to rehearse with."""
    maker = STANDIN / "make_checkpoint.py" if standin else TRAINER_SIDE / "kp_checkpoint.py"
    made = run_dir / "work" / "miniature" / "base.safetensors"
    argv = (
        python,
        str(maker),
        f"--out={made}",
        f"--tokenizers={tokenizers(run_dir)}",
        f"--seed={SEED}",
    )
    env = {**ENV, "PYTHONPATH": str(scripts), "PYTHONUTF8": "1", RUN_MARK: str(run_dir)}
    launch = Launch(argv, scripts, run_dir / "logs" / "miniature.log", env)
    return Stage("miniature", launch, made, base(run_dir), "an SDXL checkpoint")


def base(run_dir: Path) -> Path:
    """Return where the miniature checkpoint of a run lies."""
    return run_dir / "miniature" / "base.safetensors"


def tokenizers(run_dir: Path) -> Path:
    """Return where the tokenizers of a run lie."""
    return run_dir / "miniature" / "tokenizers"


def proved(run: Run, standin: bool) -> tuple[str, ...]:
    """Return what a rehearsal that came to its end has shown."""
    names = [stage.name for stage in run.stages if stage.name != "miniature"]
    whose = "the stand-in's" if standin else "sd-scripts' own"
    return (
        f"{whose} scripts accept every option of the preset ({', '.join(names)})",
        "the rendered config.toml and image_folder.toml are read, images and captions are found",
        "training moves the U-Net" + (" and both text encoders" if run.text_encoders else ""),
        "each stage finds what the one before it made, and the LoRA is whole",
    )


def not_proved(preset: Preset, standin: bool) -> tuple[str, ...]:
    """Return what a rehearsal cannot show."""
    vram = f" ({preset.vram_gib:g} GB are meant)" if preset.vram_gib else ""
    left = [
        f"that it fits into the GPU's memory{vram}, and how fast it is there",
        "mixed precision, xformers, 8-bit optimizers and whatever else was replaced above",
        "your base model, and what the LoRA looks like",
    ]
    return ("that sd-scripts itself does any of this", *left) if standin else tuple(left)


def _epochs(train: Mapping[str, Any], data: Mapping[str, Any], images: int) -> int:
    batch: int = data.get("batch_size", train.get("train_batch_size", 1))
    batches = math.ceil(images * data.get("num_repeats", 1) / batch)
    steps: int = math.ceil(batches / train.get("gradient_accumulation_steps", 1))
    return max(1, -(-STEPS // steps))
