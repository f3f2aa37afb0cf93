from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import summary
from tests import tensors


def test_a_lora_is_described(tmp_path: Path) -> None:
    shapes = tensors.lora(16) | {
        "lora_unet_c.lora_down.weight": (1, 32),
        "lora_unet_c.lora_up.weight": (32, 1),
    }
    file = tensors.write(tmp_path / "a.safetensors", shapes, dtype="BF16")
    found = summary.describe(file)
    assert (found.rank, dict(found.ranks)) == (16, {16: 4, 1: 1})
    assert (found.unet, found.text_encoder_1, found.text_encoder_2) == (3, 1, 1)
    size = f"{file.stat().st_size / 1e6:.1f} MB"
    assert (
        str(found) == f"rank 16, bf16, {size}, U-Net 3 modules, text encoder 1 1, text encoder 2 1"
    )


def test_a_checkpoint_is_no_lora(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", tensors.SDXL)
    with pytest.raises(UserError, match=r"expected a LoRA, .* is an SDXL checkpoint"):
        summary.describe(file)


def test_half_a_module_is_an_error(tmp_path: Path) -> None:
    shapes = tensors.lora()
    del shapes["lora_unet_b.lora_up.weight"]
    file = tensors.write(tmp_path / "a.safetensors", shapes)
    with pytest.raises(UserError, match=r"has no second matrix for lora_unet_b\.lora_down"):
        summary.describe(file)
