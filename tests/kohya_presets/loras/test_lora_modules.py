from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import modules, weights
from tests import lora_files
from tests.lora_files import Matrix


def found(file: Path, tensors: dict[str, Matrix]) -> modules.Modules:
    return modules.of(weights.read(lora_files.write(file, tensors)))


def ones(*shape: int) -> Matrix:
    return np.ones(shape, dtype="float32")


@pytest.mark.parametrize(
    ("down", "up"), [*modules.HALVES], ids=lambda end: end.strip("._").removesuffix(".weight")
)
def test_every_way_of_naming_halves_is_read(down: str, up: str, tmp_path: Path) -> None:
    stem = "unet.mid_block.attentions.0.attn1.to_q"
    tensors = {stem + down: ones(4, 10), stem + up: ones(12, 4)}
    (module,) = found(tmp_path / "a.safetensors", tensors).all
    assert module.name.startswith("lora_unet_middle_block_1_attn1_to_q")
    assert (module.rank, module.shape, module.alpha) == (4, (12, 10), None)


def test_a_convolution_keeps_its_kernel(tmp_path: Path) -> None:
    tensors = {"lora_unet_a.lora_down.weight": ones(2, 6, 3, 3)}
    tensors |= {"lora_unet_a.lora_up.weight": ones(8, 2, 1, 1)}
    tensors |= {"lora_unet_b.lora_down.weight": ones(2, 6, 1, 1)}
    tensors |= {"lora_unet_b.lora_mid.weight": ones(2, 2, 3, 3)}
    tensors |= {"lora_unet_b.lora_up.weight": ones(8, 2, 1, 1)}
    shapes = [module.shape for module in found(tmp_path / "a.safetensors", tensors).all]
    assert shapes == [(8, 6, 3, 3), (8, 6, 3, 3)]


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"a.lora_down.weight": ones(4, 8)}, "has no second matrix for a.lora_down.weight"),
        ({"a.lora_up.weight": ones(8, 4)}, "has no second matrix for a.lora_up.weight"),
        (
            {"a.lora_down.weight": ones(4, 8), "a.lora_up.weight": ones(8, 5)},
            r"the matrices of a do not fit together: \(4, 8\) and \(8, 5\)",
        ),
        ({"a.lora_down.weight": ones(4), "a.lora_up.weight": ones(8, 4)}, "do not fit"),
        ({"a.lora_down.weight": ones(0, 8), "a.lora_up.weight": ones(8, 0)}, "do not fit"),
        ({"lora_unet_a.hada_w1_a": ones(8, 4)}, "has only LoHa"),
        ({"x": ones(2)}, "is not a Stable Diffusion model"),
        ({}, "is not a Stable Diffusion model"),
    ],
)
def test_what_is_no_lora_is_said(tensors: dict[str, Matrix], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        found(tmp_path / "a.safetensors", tensors)


def test_layers_changed_in_another_way_are_counted(tmp_path: Path) -> None:
    tensors = lora_files.whole() | {"lora_unet_b.lokr_w1": ones(2, 2)}
    tensors |= {f"{lora_files.UNET}.dora_scale": ones(24, 1)}
    assert dict(found(tmp_path / "a.safetensors", tensors).others) == {"LoKr": 1, "DoRA": 1}
