"""Make an SDXL checkpoint of true size with made weights, and tokenizers; nothing is downloaded.

    python kp_full_checkpoint.py --out FILE.safetensors --tokenizers DIR [--seed 0]

Names and shapes are those that sd-scripts' own saver gives to modules of full size without data.
The weights are written one after the other: it takes 7 GB of disk and no memory. Runs in the
trainer's environment, with nothing of ours importable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import kp_checkpoint
import numpy as np
import torch
from kp_torchvision import repair_torchvision

BLOCK = 2**22  # numbers that are drawn; each weight begins at another place of them
NAMES = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.int64: "I64",
}
Shapes = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
SMALL = 0.02  # standard deviation of embeddings, as CLIP begins with


def write_checkpoint(file: Path, seed: int) -> None:
    """Write the checkpoint, in fp16 as the published one is: same seed, same bytes."""
    found = shapes()
    part = file.with_suffix(".part")
    with part.open("wb") as opened:
        opened.write(header(found))
        _write(opened, found, seed)
    part.replace(file)


def header(found: Shapes, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return how a safetensors file with these tensors begins; their bytes follow in this order."""
    told: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, (shape, dtype) in found.items():
        end = at + math.prod(shape) * dtype.itemsize
        told[name] = {"dtype": NAMES[dtype], "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(told).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def save(tensors: Mapping[str, torch.Tensor], file: str, metadata: Any = None) -> None:
    """Write a safetensors file one tensor after the other, as its own writer does all at once.

    That one copies them all first: in main memory, twice what the model takes.
    """
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    with Path(file).open("wb") as opened:
        opened.write(header(found, metadata))
        for tensor in tensors.values():
            opened.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def shapes() -> Shapes:
    """Return name, shape and dtype of each tensor, as sd-scripts' saver would write it."""
    repair_torchvision()
    from library import sdxl_model_util

    saved: dict[str, torch.Tensor] = {}

    def keep(tensors: Mapping[str, torch.Tensor], *_: Any, **__: Any) -> None:
        saved.update(tensors)

    sdxl_model_util.save_file = keep
    with torch.device("meta"):
        text1, text2, vae, unet = kp_checkpoint.models()
        scale = torch.tensor(4.6)
    nothing = Path("made.safetensors")
    sdxl_model_util.save_stable_diffusion_checkpoint(
        str(nothing), text1, text2, unet, None, None, None, vae, scale, None, None
    )
    saved[kp_checkpoint.POSITION_IDS] = torch.empty(1, kp_checkpoint.CAPTION_TOKENS)
    return {
        name: (
            tuple(tensor.shape),
            torch.int64 if name.endswith("position_ids") else torch.float16,
        )
        for name, tensor in sorted(saved.items())
    }


def _write(opened: BinaryIO, shapes: Shapes, seed: int) -> None:
    dice = np.random.default_rng(seed)
    drawn = dice.standard_normal(BLOCK, np.float32)
    for name, (shape, dtype) in shapes.items():
        if dtype == torch.int64:
            opened.write(np.arange(math.prod(shape), dtype=np.int64).tobytes())
            continue
        for part in _numbers(name, shape, drawn, int(dice.integers(BLOCK))):
            opened.write(part.astype(np.float16).tobytes())


def _numbers(
    name: str, shape: tuple[int, ...], drawn: np.ndarray[Any, Any], start: int
) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the numbers of a weight, such that a signal neither dies nor grows beyond bounds."""
    left = math.prod(shape)
    if len(shape) < 2:  # a norm's weight is 1, a bias 0
        value = 1.0 if name.endswith("weight") else 4.6 if name.endswith("logit_scale") else 0.0
        yield np.full(left, value, np.float32)
        return
    wide = "embedding" in name and "time" not in name
    scale = SMALL if wide else 0.5 / math.sqrt(math.prod(shape[1:]))
    while left:
        taken = drawn[start : start + left]
        yield taken * scale
        left, start = left - len(taken), 0


if __name__ == "__main__":
    kp_checkpoint.main(write_checkpoint)
