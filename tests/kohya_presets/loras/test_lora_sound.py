from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import sound, weights
from tests import lora_files, tensors
from tests.lora_files import UNET


def require(file: Path) -> None:
    sound.require(weights.read(file))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_lora_with_numbers_is_sound(dtype: str, tmp_path: Path) -> None:
    require(lora_files.write(tmp_path / "a.safetensors", lora_files.whole(dtype=dtype)))


@pytest.mark.parametrize("half", ["up", "down"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_number_that_is_not_finite_is_found(
    dtype: str, number: float, half: str, tmp_path: Path
) -> None:
    made: dict[str, Any] = lora_files.whole(dtype=dtype)
    made[f"{UNET}.lora_{half}.weight"][1, 2] = number
    file = lora_files.write(tmp_path / "a.safetensors", made)
    with pytest.raises(UserError, match=f"{UNET}.lora_{half}.weight contains inf or NaN"):
        require(file)


@pytest.mark.parametrize(("fill", "sound_"), [(0x3C, True), (0x00, False), (0xFF, False)])
def test_bf16_is_read_too(fill: int, sound_: bool, tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", tensors.lora(), dtype="BF16", fill=fill)
    if sound_:
        require(file)
        return
    with pytest.raises(UserError, match=r"changes nothing|inf or NaN"):
        require(file)


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_lora_that_changes_nothing_is_found(zero: float, tmp_path: Path) -> None:
    made = {
        name: np.full_like(array, zero) if "lora_up" in name else array
        for name, array in lora_files.whole().items()
    }
    file = lora_files.write(tmp_path / "a.safetensors", made)
    with pytest.raises(UserError, match="changes nothing"):
        require(file)


def test_one_module_that_changes_something_is_enough(tmp_path: Path) -> None:
    made = {
        name: array if name.startswith(UNET) else np.zeros_like(array)
        for name, array in lora_files.whole().items()
    }
    require(lora_files.write(tmp_path / "a.safetensors", made))


def test_another_format_of_numbers_is_an_error(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", tensors.lora(), dtype="F8_E4M3", fill=0x3C)
    with pytest.raises(UserError, match="has the type F8_E4M3"):
        require(file)
