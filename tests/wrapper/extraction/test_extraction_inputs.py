"""What cannot be extracted from, or resized, is refused by its header, with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from tests import lora_files, tensors
from tests.lora_files import UNET
from tests.tensors import SDXL
from wrapper.extraction import inputs

TO_Q = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"
OTHERS = {
    "a Stable Diffusion 1 checkpoint": {"cond_stage_model.transformer.a": (2,)},
    "a Flux model": {"double_blocks.0.a": (2,)},
    "an SDXL refiner": {
        "conditioner.embedders.0.model.a": (2,),
        "model.diffusion_model.label_emb.0.0.weight": (2, 2),
    },
    "a U-Net in Diffusers' form": {"down_blocks.0.a": (2,), "conv_in.weight": (2,)},
    "a LoRA": tensors.lora(),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_kind_of_file_is_named(kind: str, tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "korra ü.safetensors", OTHERS[kind])
    with pytest.raises(UserError) as caught:
        inputs.model(file, "tuned model")
    assert (
        str(caught.value) == f"expected an SDXL checkpoint as the tuned model, but {file} is {kind}"
    )
    assert ("kohya-presets resize" in (caught.value.hint or "")) == (kind == "a LoRA")


def test_a_model_without_a_text_encoder_is_refused(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in SDXL.items() if "embedders.1" not in name}
    file = tensors.write(tmp_path / "a.safetensors", shapes)
    with pytest.raises(UserError, match="an SDXL checkpoint without text encoder 2"):
        inputs.model(file, "base model")


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "U8"])
def test_too_coarse_a_model_is_refused(dtype: str, tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", SDXL, dtype=dtype)
    found = "fp8" if dtype.startswith("F8") else dtype
    with pytest.raises(UserError, match=f"expected fp16, bf16 or fp32, but .* is in {found}$"):
        inputs.model(file, "base model")


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_any_usual_precision_is_taken(dtype: str, tmp_path: Path) -> None:
    inputs.model(tensors.write(tmp_path / "a.safetensors", SDXL, dtype=dtype), "base model")


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"PK\x03\x04" + bytes(50), "pickle"), (b"", "empty"), (b"<html>" + bytes(50), "web page")],
)
def test_what_is_no_safetensors_file_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=why):
        inputs.model(file, "base model")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is incomplete"):
        inputs.model(tensors.write(tmp_path / "a.safetensors", SDXL, cut=1), "base model")
    with pytest.raises(UserError, match="is incomplete"):
        inputs.lora(tensors.write(tmp_path / "b.safetensors", tensors.lora(), cut=1))


def pair(
    tmp_path: Path, base: dict[str, tuple[int, ...]], tuned: dict[str, tuple[int, ...]]
) -> None:
    files = tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"
    headers = [
        inputs.model(tensors.write(file, shapes), "model")
        for file, shapes in zip(files, (base, tuned), strict=True)
    ]
    inputs.pair(*headers)


def test_two_models_of_one_architecture_fit(tmp_path: Path) -> None:
    pair(tmp_path, SDXL, {**SDXL, "ztsnr": ()})


def test_models_of_different_shapes_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not of the same architecture.*\(64, 64\).*\(64, 32\)"):
        pair(tmp_path, SDXL, {**SDXL, TO_Q: (64, 32)})


@pytest.mark.parametrize("lacking", ["base", "tuned"])
def test_a_model_that_lacks_layers_does_not_fit(lacking: str, tmp_path: Path) -> None:
    less = {name: shape for name, shape in SDXL.items() if name != TO_Q}
    models = (less, SDXL) if lacking == "base" else (SDXL, less)
    with pytest.raises(UserError, match=rf"{lacking}\.safetensors lacks {TO_Q}, which"):
        pair(tmp_path, *models)


def test_a_model_and_itself_do_not_fit(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", SDXL)
    (tmp_path / "b.safetensors").hardlink_to(file)
    headers = [inputs.model(tmp_path / f"{name}.safetensors", "model") for name in "ab"]
    with pytest.raises(UserError, match="are the same file"):
        inputs.pair(*headers)


def test_a_model_is_no_lora(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a LoRA, but .* is an SDXL checkpoint"):
        inputs.lora(tensors.write(tmp_path / "a.safetensors", SDXL))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({f"{UNET}.dora_scale": (1, 20)}, r"other tensors \(DoRA\)"),
        ({"lora_unet_x.hada_w1_a": (4, 4)}, r"other tensors \(LoHa\)"),
        ({"something.new": (4,)}, "other tensors, which"),
    ],
)
def test_a_lora_with_more_than_pairs_is_refused(
    more: dict[str, tuple[int, ...]], why: str, tmp_path: Path
) -> None:
    pairs = {f"{UNET}.lora_down.weight": (4, 20), f"{UNET}.lora_up.weight": (24, 4)}
    with pytest.raises(UserError, match=why):
        inputs.lora(tensors.write(tmp_path / "a.safetensors", {**pairs, **more}))


def test_a_lora_in_fp8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is in fp8"):
        inputs.lora(tensors.write(tmp_path / "a.safetensors", tensors.lora(), dtype="F8_E5M2"))


def test_names_that_an_old_script_overlooks_are_refused(tmp_path: Path) -> None:
    rows, columns = 24, 20
    peft = {
        "unet.mid_block.attentions.0.proj_in.lora_A.weight": (4, columns),
        "unet.mid_block.attentions.0.proj_in.lora_B.weight": (rows, 4),
    }
    file = tensors.write(tmp_path / "peft.safetensors", peft)
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_text("if 'lora_down' in key:", "utf-8")
    new.write_text('("lora_A", "lora_B"),  # PEFT LoRA', "utf-8")
    inputs.names(file, new)
    with pytest.raises(UserError, match=r"does not find the module .*lora_A\.weight") as caught:
        inputs.names(file, old)
    assert caught.value.hint == "Use --release v0.10.0 or newer."
    inputs.names(lora_files.write(tmp_path / "a.safetensors", lora_files.whole()), old)
