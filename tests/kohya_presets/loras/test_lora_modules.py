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
    ("down", "up"),
    [
        (".lora_down.weight", ".lora_up.weight"),
        (".lora_A.weight", ".lora_B.weight"),
        (".lora_A.default.weight", ".lora_B.default.weight"),
        (".lora_A.my_adapter.weight", ".lora_B.my_adapter.weight"),
        (".lora_A", ".lora_B"),
        (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
        (".lora.down.weight", ".lora.up.weight"),
        ("_lora.down.weight", "_lora.up.weight"),
    ],
    ids=lambda end: end.strip("._").removesuffix(".weight"),
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


@pytest.mark.parametrize(
    ("ends", "kind"),
    [
        (("w_norm", "b_norm"), "norm layers"),
        (("a1.weight", "a2.weight", "b1.weight", "b2.weight", "alpha"), "GLoRA"),
        (("diff", "diff_b"), "full"),
        (("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), "LoHa"),
        (("lokr_w1", "lokr_w2_a", "lokr_w2_b"), "LoKr"),
        (("oft_blocks", "rescale"), "OFT"),
        (("lora_magnitude_vector.default.weight",), "DoRA"),
        (("scalar",), None),
        (("lora_B.bias",), None),
        (("something_new",), None),
    ],
)
def test_a_tensor_of_no_module_is_left_over_and_named(
    ends: tuple[str, ...], kind: str | None, tmp_path: Path
) -> None:
    extra = {f"lora_unet_b.{end}": ones(5) for end in ends}
    made = {"lora_unet_a.lora_down.weight": ones(1, 8), "lora_unet_a.lora_up.weight": ones(7, 1)}
    read = found(tmp_path / "a.safetensors", made | extra)
    assert dict(read.others) == ({kind: 1} if kind else {})
    assert sorted(read.left.tensors) == sorted(extra)
    assert read.left.share == pytest.approx(5 * len(ends) / (15 + 5 * len(ends)))


def test_a_layer_that_two_modules_change_is_read_once_and_the_other_left_over(
    tmp_path: Path,
) -> None:
    stem = "unet.mid_block.attentions.0.proj_in"
    made = {
        f"{stem}.lora_{half}.{adapter}.weight": ones(4, 4)
        for half in "AB"
        for adapter in ("one", "two")
    }
    read = found(tmp_path / "a.safetensors", made)
    assert [m.name for m in read.all] == ["lora_unet_middle_block_1_proj_in"]
    assert len(read.left.tensors) == 2
    assert found(tmp_path / "b.safetensors", lora_files.whole()).left.tensors == ()
