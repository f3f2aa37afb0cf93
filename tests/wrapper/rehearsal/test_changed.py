"""What training changed, against the same computed by torch on files that torch has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kohya_presets.loras import weights
from tests import tensors
from wrapper.rehearsal import changed

torch = pytest.importorskip("torch")
NAMES = dict(zip(changed.PARTS, [tuple(tensors.SDXL)[i] for i in (3, 0, 1, 4)], strict=True))


def saved(file: Path, values: dict[str, Any], dtype: Any) -> weights.Header:
    from safetensors.torch import save_file

    save_file({name: tensor.to(dtype) for name, tensor in values.items()}, file)
    return weights.read(file)


@pytest.fixture
def values() -> dict[str, Any]:
    torch.manual_seed(0)
    ids = {"conditioner.embedders.0.transformer.text_model.embeddings.position_ids": torch.zeros(7)}
    return {name: torch.randn(shape) for name, shape in tensors.SDXL.items()} | ids


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("of_base", ["float16", "bfloat16", "float32"])
def test_rounding_alone_is_no_change(
    of_base: str, stored: str, values: dict[str, Any], tmp_path: Path
) -> None:
    base = {name: tensor.to(getattr(torch, of_base)) for name, tensor in values.items()}
    before = saved(tmp_path / "base.safetensors", base, getattr(torch, of_base))
    after = saved(tmp_path / "tuned.safetensors", base, getattr(torch, stored))
    found = changed.between(before, after)
    assert {change.part: change.norm for change in found} == dict.fromkeys(changed.PARTS, 0.0)


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("part", changed.PARTS)
def test_the_part_that_was_changed_is_found_with_its_norm(
    part: str, stored: str, values: dict[str, Any], tmp_path: Path
) -> None:
    dtype = getattr(torch, stored)
    before = saved(tmp_path / "base.safetensors", values, torch.float16)
    base = {name: tensor.half().float() for name, tensor in values.items()}
    tuned = {**base, NAMES[part]: base[NAMES[part]] + 0.25}
    after = saved(tmp_path / "tuned.safetensors", tuned, dtype)
    difference = tuned[NAMES[part]].to(dtype).double() - base[NAMES[part]].to(dtype).double()
    found = {change.part: change.norm for change in changed.between(before, after)}
    assert found.pop(part) == pytest.approx(float(difference.norm()), rel=1e-9)
    assert set(found.values()) == {0.0}


def test_one_number_that_is_none_shows(values: dict[str, Any], tmp_path: Path) -> None:
    before = saved(tmp_path / "base.safetensors", values, torch.float32)
    values[NAMES["U-Net"]][0, 0] = float("nan")
    after = saved(tmp_path / "tuned.safetensors", values, torch.float32)
    norms = {change.part: change.norm for change in changed.between(before, after)}
    assert norms["U-Net"] != norms["U-Net"]
