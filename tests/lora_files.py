"""Small LoRA files for tests, written by safetensors itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Matrix = NDArray[Any]

UNET = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
UNET_CONTEXT = "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k"
TE1 = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
TE2 = "lora_te2_text_model_encoder_layers_11_self_attn_q_proj"
MODULES = {UNET: (24, 20), UNET_CONTEXT: (16, 2048), TE1: (12, 10), TE2: (10, 14)}


def halves(name: str, up: Matrix, down: Matrix, alpha: float | None = None) -> dict[str, Matrix]:
    """Return the tensors of one module, in the precision of `up`."""
    made = {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
    return made if alpha is None else made | {f"{name}.alpha": np.array(alpha, dtype=up.dtype)}


def random_module(
    name: str, rank: int, alpha: float | None = None, seed: int = 0, dtype: str = "float32"
) -> dict[str, Matrix]:
    """Return one of MODULES with random numbers."""
    rng = np.random.default_rng(seed)
    rows, columns = MODULES[name]
    up, down = rng.normal(size=(rows, rank)), rng.normal(size=(rank, columns))
    return halves(name, up.astype(dtype), down.astype(dtype), alpha)


def whole(rank: int = 4, **options: Any) -> dict[str, Matrix]:
    """Return a LoRA with one module of each of MODULES."""
    tensors: dict[str, Matrix] = {}
    for seed, name in enumerate(MODULES):
        tensors |= random_module(name, rank, alpha=rank, seed=seed, **options)
    return tensors


def write(
    file: Path, tensors: Mapping[str, Matrix], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write the file, and return where it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), file, dict(metadata) if metadata else None)
    return file
