"""Runs as they lie on a disk, made without training: of the guide's length, or small."""

from __future__ import annotations

import datetime
import json
import math
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from kohya_presets.presets import catalogue, preset
from kohya_presets.presets.catalogue import Catalogue
from tests import tensors
from tests.wrapper.watching.event_files import event
from wrapper.runs import manifest
from wrapper.runs.manifest import Run, Stage
from wrapper.system.launch import Launch

BEGAN = 1_795_806_000.0  # 2026-11-27
STEP_SECONDS = 1.5
TAGS = {
    "loss": 0.1,
    "lr/text_encoder1": 1e-6,
    "lr/text_encoder2": 1e-6,
    "lr/unet": 1e-6,
    "lr/d*lr/unet": 3e-5,
}
FACTS: Mapping[str, Mapping[str, Any]] = {
    "sd-scripts": {"release": "v0.10.1", "commit": "ab12", "folder": "/x", "patches": ["resume"]},
    "patches": {"resume": "c0ffee"},
    "environment": {
        "python": "/x/python",
        "version": "3.10.12",
        "torch": "2.6.0",
        "gpus": ["A100"],
    },
    "base": {"file": "/m/sd_xl_base_1.0.safetensors", "size": 6_938_078_334, "sha256": "31e35c80"},
    "data": {"folder": "/data/korra", "images": 60},
    "inputs": {"seed": 42, "tensorboard": True},
}
PROMPTS = ("korra in the snow --d 1", "korra, a portrait --d 2")


def run(folder: Path, *, facts: Mapping[str, Any] = FACTS, **of_train: Any) -> Run:
    """Return a run whose stages are planned, with its manifest and preset written."""
    made = tuple(_stage(folder, *row) for row in _STAGES)
    found = Run(folder.resolve(), "train", "skynet", "korra", made, True, facts)
    found = found.with_stage(replace(found.stage("train"), **of_train))
    (folder / "logs").mkdir(parents=True)
    shipped = Catalogue((catalogue.SHIPPED,)).load("skynet")
    (folder / "preset.toml").write_text(preset.to_toml(shipped), "utf-8")
    manifest.write(found)
    return found


def done(folder: Path) -> Run:
    """Return the same, every stage done, with a LoRA."""
    found = run(folder)
    for number, stage in enumerate(found.stages):
        stage.output.parent.mkdir(parents=True, exist_ok=True)
        shapes = tensors.SDXL if stage.name == "train" else tensors.lora(16)
        tensors.write(stage.output, shapes)
        times = {"started": at(number * 100), "finished": at(number * 100 + 90)}
        found = found.with_stage(
            replace(stage, state="done", seconds=90.0, exit_code=0, sha256="ab" * 32, **times)
        )
    manifest.write(found)
    return found


def long(folder: Path, *, epochs: int = 100, images: int = 60, side: int = 1024) -> Run:
    """Return a run of the guide's length: 6,000 steps, 60 samples, LoRAs of every 10 epochs."""
    found = done(folder)
    steps = epochs * images
    log_events(folder, range(1, steps + 1))
    (folder / "logs" / "train.log").write_bytes(bars(steps, epochs).encode())
    (folder / "prompts.txt").write_text("# mine\n" + "\n".join(PROMPTS) + "\n", "utf-8")
    pictures(folder, [n * epochs // 30 for n in range(1, 31)], side=side)
    for epoch in range(10, epochs, 10):
        tensors.write(folder / "lora" / f"korra-{epoch:06}.safetensors", tensors.lora(16))
    listing = {f"{n}.png": "9 bytes" for n in range(images)} | {
        f"{n}.txt": "ab" for n in range(images)
    }
    (folder / "data.json").write_text(json.dumps(listing), "utf-8")
    state(folder, steps // 2)
    return found


def log_events(
    folder: Path,
    steps: Sequence[int],
    *,
    began: float = BEGAN,
    tags: Mapping[str, float] = TAGS,
) -> Path:
    """Write an event file of one attempt, as accelerate's tracker has it; return it."""
    rng = random.Random(0)
    into = folder / "logs" / "tensorboard" / "20261127191214" / "finetuning"
    into.mkdir(parents=True, exist_ok=True)
    records = []
    for step in steps:
        for tag, value in tags.items():
            noise = value * rng.lognormvariate(0, 0.5) if tag == "loss" else value
            records.append(event(step, tag, noise, began + step * STEP_SECONDS))
        if step % 60 == 0:
            epoch = event(step // 60, "loss/epoch", 0.1 + 0.01 / step, began + step * STEP_SECONDS)
            records.append(epoch)
    file = into / f"events.out.tfevents.{began:.0f}.machine.1.0"
    file.write_bytes(b"".join(records))
    return file


def bars(steps: int, epochs: int) -> str:
    """Return the log of a training: attempts, warnings, a bar for each step."""
    lines = [
        f"{at(0)} kohya-presets: train, scripts in /x, patches: resume",
        "                    WARNING  no regularization images / none        train_util.py:2167",
        f"epoch 1/{epochs}",
    ]
    lines += [
        f"steps:  50%|#####     | {n}/{steps} [00:01<00:01,  1.50s/it, avr_loss=0.{100 + n % 9}]"
        for n in range(1, steps + 1)
    ]
    return "\r".join(lines) + "\n"


def pictures(folder: Path, epochs: Sequence[int], *, side: int = 256) -> None:
    """Make a sample of each prompt at these epochs, with the grain of a photograph."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    first: dict[int, Path] = {}
    for epoch in epochs:
        for prompt in range(len(PROMPTS)):
            file = folder / "samples" / f"korra_e{epoch:06}_{prompt:02}_20261127191214_42.png"
            if prompt in first:
                shutil.copy(first[prompt], file)
            else:
                _picture(side).save(file)
                first[prompt] = file


def state(folder: Path, step: int) -> None:
    """Make a state as the patch `resume` writes it, without its tensors."""
    into = folder / "states" / f"step{step:08}"
    into.mkdir(parents=True)
    table = {
        **{"format": 1, "step": step, "epoch": math.ceil(step / 60), "bytes": 10**9},
        **{"seconds": 12.5, "saved": BEGAN + step * STEP_SECONDS},
    }
    (into / "kp_resume.json").write_text(json.dumps(table), "utf-8")


def at(after: float) -> str:
    """Return the time so many seconds after the run began, as run.toml has it."""
    moment = datetime.datetime.fromtimestamp(BEGAN + after, datetime.timezone.utc)
    return moment.isoformat(timespec="seconds")


def _picture(side: int) -> Image.Image:
    shapes = Image.effect_noise((24, 24), 120).resize((side, side), Image.Resampling.BICUBIC)
    return Image.blend(shapes, Image.effect_noise((side, side), 60), 0.15).convert("RGB")


_STAGES = (
    ("train", "model/korra", "an SDXL checkpoint"),
    ("extract", "extracted/korra", "a LoRA"),
    ("resize", "lora/korra", "a LoRA"),
)


def _stage(folder: Path, name: str, output: str, expects: str) -> Stage:
    folder = folder.resolve()
    launch = Launch(("python", "x.py"), folder, folder / "logs" / f"{name}.log", {})
    file = folder / f"{output}.safetensors"
    return Stage(name, launch, file, file, expects)
