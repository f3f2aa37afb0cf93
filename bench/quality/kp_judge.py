"""Judge models on images that no training saw, in fp32, with the same noise for every model.

    python kp_sized.py FOLDER kp_judge.py WORK.json

WORK names the model that all began with, the images, the tokenizers, groups of models, each with
the one that the others of its group are compared with, and the file to write. Runs in the trainer's
environment, with nothing of ours importable. sd-scripts v0.10.1's own functions are used.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kp_distance import PARTS, count, judged, weights
from library import sdxl_model_util, sdxl_train_util, strategy_sdxl
from PIL import Image

SIDE, TIMES = 64, (50, 150, 300, 450, 600, 750, 900, 980)  # pixels; of 1000 timesteps
SEED = 1234


def main() -> None:
    """Judge all, and write what was found."""
    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    begin = weights(work["begin"])
    judge = Judge(work)
    found: dict[str, Any] = {"begin": {"losses": judge.losses(work["begin"], None)}, "groups": []}
    found["parameters"] = {part: count(begin, start) for part, start in PARTS.items()}
    for group in work["groups"]:
        reference = weights(group["reference"])
        told = {}
        for name, file in group["models"].items():
            own = weights(file)
            told[name] = judged(begin, reference, own) | {"losses": judge.losses(file, None)}
            if file == group["reference"]:
                rounded = {key: w.bfloat16().float() for key, w in own.items()}
                told[f"{name}, stored in bf16"] = judged(begin, reference, rounded) | {
                    "losses": judge.losses(file, torch.bfloat16)
                }
            print(group["name"], name, np.mean(told[name]["losses"]), flush=True)
        found["groups"].append({"name": group["name"], "models": told})
    Path(work["out"]).write_text(json.dumps(found), encoding="utf-8")


class Judge:
    """The images, captions, noise and timesteps that every model gets."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._tokenize = strategy_sdxl.SdxlTokenizeStrategy(77, work["tokenizers"])
        self._encode = strategy_sdxl.SdxlTextEncodingStrategy()
        images = sorted(Path(work["images"]).glob("*.png"))
        self._captions = [image.with_suffix(".txt").read_text("utf-8") for image in images]
        pixels = np.stack([_pixels(image) for image in images])
        *_, vae, _, _, _ = _load(work["begin"])
        with torch.no_grad():
            tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
            latents = vae.encode(tensor).latent_dist.mean
        self._latents = latents * sdxl_model_util.VAE_SCALE_FACTOR
        dice = torch.Generator().manual_seed(SEED)
        self._noises = [torch.randn(latents.shape, generator=dice) for _ in TIMES]
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2  # sd-scripts' schedule
        self._kept = torch.cumprod(1 - betas, 0)

    @torch.no_grad()
    def losses(self, file: str, stored: torch.dtype | None) -> list[float]:
        """Return the mean squared error of each image, over all timesteps."""
        text1, text2, _, unet, _, _ = _load(file)
        for model in (text1, text2, unet):
            if stored:
                model.to(stored)
            model.float().eval()
        tokens = self._tokenize.tokenize(self._captions)
        one, two, pooled = self._encode.encode_tokens(self._tokenize, [text1, text2], tokens)
        count = len(self._captions)
        size = torch.tensor([[SIDE, SIDE]] * count)
        sizes = sdxl_train_util.get_size_embeddings(size, torch.zeros_like(size), size, "cpu")
        vector, context = torch.cat([pooled, sizes], 1), torch.cat([one, two], 2)
        total = torch.zeros(count)
        for time, noise in zip(TIMES, self._noises, strict=True):
            kept = self._kept[time]
            noisy = kept.sqrt() * self._latents + (1 - kept).sqrt() * noise
            found = unet(noisy, torch.tensor([time] * count), context, vector)
            total += (found - noise).square().mean((1, 2, 3))
        return [float(x) for x in total / len(TIMES)]


def _load(file: str) -> tuple[Any, ...]:
    version = sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0
    text1, text2, vae, unet, scale, info = sdxl_model_util.load_models_from_sdxl_checkpoint(
        version, file, "cpu", torch.float32
    )
    return text1.float(), text2.float(), vae.float(), unet.float(), scale, info


def _pixels(image: Path) -> np.ndarray[Any, Any]:
    with Image.open(image) as opened:
        return np.asarray(opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
