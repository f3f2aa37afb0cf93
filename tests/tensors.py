"""Small safetensors files for tests, written by hand: headers matter, numbers do not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

ONES = 0x3C  # as every byte of an fp16: 1.06
SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F8_E4M3": 1, "F8_E5M2": 1, "U8": 1}
SDXL = {
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (8,),
    "conditioner.embedders.1.model.ln_final.weight": (8,),
    "model.diffusion_model.label_emb.0.0.weight": (8, 8),
    "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight": (64, 64),
    "first_stage_model.encoder.conv_in.weight": (8, 3, 3, 3),
}


def write(
    file: Path,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dtype: str = "F16",
    metadata: Mapping[str, str] | None = None,
    cut: int = 0,
    fill: int = 0,
) -> Path:
    """Write a file with tensors of these shapes, every byte `fill`, the last `cut` left off."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + bytes([fill]) * end
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content[: len(content) - cut])
    return file


def lora(rank: int = 16, *, te: bool = True) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a LoRA with two modules in each model it has."""
    prefixes = ("lora_unet_a", "lora_unet_b", *(("lora_te1_a", "lora_te2_a") if te else ()))
    shapes: dict[str, tuple[int, ...]] = {}
    for prefix in prefixes:
        shapes[f"{prefix}.lora_down.weight"] = (rank, 32)
        shapes[f"{prefix}.lora_up.weight"] = (32, rank)
        shapes[f"{prefix}.alpha"] = ()
    return shapes


def contents(file: Path) -> dict[str, bytes]:
    """Return the bytes of each tensor: files of the same weights may differ in their headers."""
    read = file.read_bytes()
    start = 8 + int.from_bytes(read[:8], "little")
    header = json.loads(read[8:start])
    header.pop("__metadata__", None)
    return {
        name: read[start + t["data_offsets"][0] : start + t["data_offsets"][1]]
        for name, t in header.items()
    }
