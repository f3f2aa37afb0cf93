from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from tests import tensors


def test_a_header_tells_names_shapes_and_metadata(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", {"x": (2, 3)}, metadata={"k": "v"})
    header = weights.read(file)
    assert header.tensors["x"] == weights.Tensor("F16", (2, 3), file.stat().st_size - 12, 12)
    assert header.metadata == {"k": "v"}
    assert header.size == file.stat().st_size


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (tuple(tensors.SDXL), "an SDXL checkpoint"),
        (tuple(tensors.lora()), "a LoRA"),
        (
            ("conditioner.embedders.0.model.ln_final.weight", "model.diffusion_model.out.0.weight"),
            "an SDXL refiner",
        ),
        (
            ("cond_stage_model.transformer.x", "model.diffusion_model.x"),
            "a Stable Diffusion 1 checkpoint",
        ),
        (("cond_stage_model.model.x",), "a Stable Diffusion 2 checkpoint"),
        (("model.diffusion_model.x",), "a checkpoint without text encoders or VAE"),
        (("down_blocks.0.x", "conv_in.weight"), "a U-Net in Diffusers' form"),
        (("double_blocks.0.x",), "a Flux model"),
        (("x",), "not a Stable Diffusion model"),
    ],
)
def test_weights_are_known_by_their_names(
    names: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    file = tensors.write(tmp_path / "a.safetensors", dict.fromkeys(names, (1,)))
    assert weights.kind(weights.read(file)) == kind


@pytest.mark.parametrize(
    ("lacks", "words"),
    [
        (("first_stage",), "VAE"),
        (("conditioner.embedders.0",), "text encoder 1"),
        (("conditioner.embedders.1",), "text encoder 2"),
        (("conditioner",), "text encoder 1 and text encoder 2"),
        (("conditioner", "first_stage"), "text encoder 1, text encoder 2 and VAE"),
        (("model.diffusion_model",), "U-Net"),
    ],
)
def test_what_a_base_lacks_is_named(lacks: tuple[str, ...], words: str, tmp_path: Path) -> None:
    left = {name: shape for name, shape in tensors.SDXL.items() if not name.startswith(lacks)}
    file = tensors.write(tmp_path / "a.safetensors", left)
    with pytest.raises(UserError, match=rf"is an SDXL checkpoint without {words}$") as caught:
        weights.require(file)
    assert "complete checkpoint" in (caught.value.hint or "")


def test_a_lora_is_no_base_model(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "korra.safetensors", tensors.lora())
    with pytest.raises(UserError, match=r"expected an SDXL checkpoint, .* is a LoRA"):
        weights.require(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs pointer"),
        (b"PK\x03\x04" + bytes(90), "is a pickle"),
        (b"\x80\x02}q\x00" + bytes(90), "is a pickle"),
        (bytes(100), "is not a safetensors file"),
        ((500).to_bytes(8, "little") + b'{"x": 1', "is incomplete"),
        ((2).to_bytes(8, "little") + b"{]" + bytes(9), "no readable safetensors header"),
        ((8).to_bytes(8, "little") + b'{"x": 1}', "no readable safetensors header"),
    ],
)
def test_what_is_no_weights_file_is_called_by_its_name(
    content: bytes, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        weights.require(file)


@pytest.mark.parametrize("cut", [1, 100])
def test_a_file_that_was_cut_short_is_found(cut: int, tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "half.safetensors", tensors.SDXL, cut=cut)
    with pytest.raises(UserError, match="is incomplete"):
        weights.read(file)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.safetensors"):
        weights.read(tmp_path / "gone.safetensors")


def test_the_hash_is_the_files(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(b"ab" * weights.CHUNK)
    parts: list[int] = []
    digest = weights.sha256(file, on_bytes=parts.append)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert parts == [weights.CHUNK, weights.CHUNK]
