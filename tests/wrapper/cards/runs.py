"""A finished run with a LoRA, samples and, where asked for, an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kohya_presets.loras import weights
from tests import lora_files
from tests.kohya_presets.cards import made
from wrapper.runs import manifest
from wrapper.runs.manifest import Run, Stage
from wrapper.system.launch import Launch

PRESET = """\
schema = 1
[preset]
name = "skynet"
script = "sdxl_train.py"
[train]
optimizer_type = "AdamW"
learning_rate = 1e-06
max_train_epochs = 40
train_text_encoder = true
[extract]
dim = 512
[resize]
new_rank = 4
[samples]
prompts = ["korra, a castle --d 1 --w 1024 --h 1024", "korra, a lake --s 20 --w 1024 --h 1024"]
"""
FACTS: Mapping[str, Mapping[str, Any]] = {
    "sd-scripts": {"release": "v0.10.1", "patches": ["resume"], "standin": False},
    "base": {"reference": "/home/secret-name/sd_xl_base_1.0.safetensors", "sha256": "00"},
    "data": {"folder": "/home/secret-name/pictures", "images": 20},
}
HIDDEN = "/home/secret-name/in-the-picture"


def finished(folder: Path, *, kind: manifest.Kind = "train", stage: str = "resize") -> Run:
    """Return a run whose LoRA, `lora/korra.safetensors`, is made; it has the samples of 2 saves."""
    folder = folder.resolve()
    file = lora_files.write(
        folder / "lora" / "korra.safetensors",
        lora_files.whole(),
        {"modelspec.title": "korra", "ss_network_dim": "4"},
    )
    (folder / "preset.toml").write_text(PRESET, "utf-8")
    for epoch in (20, 40):
        for prompt in range(2):
            name = f"korra_e{epoch:06d}_{prompt:02d}_20261127191306_1.png"
            picture(folder / "samples" / name, (epoch, 100 * prompt, 0))
    launch = Launch(("python",), folder, folder / "logs" / "x.log", {})
    stages = tuple(
        Stage(name, launch, folder / "work" / name, at, expects, "done", sha256)
        for name, at, expects, sha256 in (
            ("train", folder / "model" / "korra.safetensors", "an SDXL checkpoint", "00"),
            (stage, file, "a LoRA", weights.sha256(file)),
        )
    )
    run = Run(folder, kind, "skynet", "korra", stages, True, FACTS)
    manifest.write(run)
    return run


def evaluated(run: Run, **changes: Any) -> Run:
    """Return the run with an evaluation of its LoRA."""
    place = run.folder / "evaluation"
    values = {**made.EVALUATION, **changes}
    for number, one in enumerate(values["pictures"]):
        picture(place / one["file"], (0, 0, 10 * number))
    (place / "evaluation.json").write_text(json.dumps(values), "utf-8")
    return run


def with_product(run: Run, **changes: Any) -> Run:
    """Return the run, written, with its last stage changed."""
    run = run.with_stage(replace(run.stages[-1], **changes))
    manifest.write(run)
    return run


def picture(file: Path, colour: tuple[int, int, int], size: tuple[int, int] = (64, 96)) -> Path:
    """Write a picture that tells a path of somebody's computer, as some tools do."""
    file.parent.mkdir(parents=True, exist_ok=True)
    hidden = PngInfo()
    hidden.add_text("parameters", HIDDEN)
    Image.new("RGB", size, colour).save(file, pnginfo=hidden)
    return file
