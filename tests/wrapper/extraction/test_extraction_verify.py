from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import TrainerError
from kohya_presets.loras import summary
from kohya_presets.loras.summary import Lora
from tests import tensors
from wrapper.extraction import verify


def lora(file: Path, rank: int = 16, **more: int) -> Path:
    return tensors.write(file, tensors.lora(rank), fill=tensors.ONES, **more)


def extracted(file: Path, *, text_encoders: bool = True, min_diff: float = 1e-6) -> Lora:
    return verify.extracted(file, text_encoders=text_encoders, min_diff=min_diff)


def test_a_whole_lora_is_described(tmp_path: Path) -> None:
    made = extracted(lora(tmp_path / "korra ü.safetensors"))
    assert (made.rank, made.unet, made.text_encoder_1, made.text_encoder_2) == (16, 2, 1, 1)


@pytest.mark.parametrize(
    ("file", "why"),
    [("cut", "incomplete"), ("zero", "changes nothing"), ("model", "is an SDXL checkpoint")],
)
def test_an_unusable_file_is_the_tools_failure(file: str, why: str, tmp_path: Path) -> None:
    lora(tmp_path / "cut.safetensors", cut=1)
    tensors.write(tmp_path / "zero.safetensors", tensors.lora())
    tensors.write(tmp_path / "model.safetensors", tensors.SDXL, fill=tensors.ONES)
    with pytest.raises(TrainerError, match=f"the result is unusable: .*{why}"):
        extracted(tmp_path / f"{file}.safetensors")


@pytest.mark.parametrize(("least", "hint"), [(0.01, "min_diff=1e-06"), (1e-6, "train longer")])
def test_text_encoders_are_missed_where_they_were_trained(
    least: float, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.safetensors"
    tensors.write(file, tensors.lora(te=False), fill=tensors.ONES)
    assert extracted(file, text_encoders=False).text_encoder_1 == 0
    with pytest.raises(TrainerError, match="no text-encoder modules") as caught:
        extracted(file, min_diff=least)
    assert hint in (caught.value.hint or "")


def test_the_unet_is_always_missed(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in tensors.lora().items() if "_te" in name}
    file = tensors.write(tmp_path / "a.safetensors", shapes, fill=tensors.ONES)
    with pytest.raises(TrainerError, match="no U-Net modules"):
        extracted(file)


def test_a_resized_lora_has_the_modules_that_it_had(tmp_path: Path) -> None:
    source = summary.describe(lora(tmp_path / "source.safetensors", 32))
    made = lora(tmp_path / "made.safetensors", 16)
    assert verify.resized(made, source, 16).rank == 16
    with pytest.raises(TrainerError, match="should have rank 8 at most, but has rank 16"):
        verify.resized(made, source, 8)
    tensors.write(made, tensors.lora(te=False), fill=tensors.ONES)
    with pytest.raises(TrainerError, match=r"should have 4 modules, as source.* but has 2"):
        verify.resized(made, source, 16)


def test_the_threshold_is_the_scripts_own_unless_given() -> None:
    assert (verify.min_diff({}), verify.min_diff({"min_diff": 1e-6})) == (0.01, 1e-6)
