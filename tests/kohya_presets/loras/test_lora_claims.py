from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kohya_presets.loras import claims, info
from tests import lora_files
from tests.lora_files import TE1, TE2, UNET, UNET_CONTEXT, Matrix


def said(file: Path) -> dict[str, str]:
    return {p.code: p.message for p in claims.of(info.of(file))}


def named(tmp_path: Path, name: str, metadata: dict[str, str] | None = None) -> dict[str, str]:
    """Return what is said of a LoRA of rank 16 in fp16, of 77 kB."""
    made = lora_files.whole(16, dtype="float16")
    return said(lora_files.write(tmp_path / f"{name}.safetensors", made, metadata))


@pytest.mark.parametrize(
    "name",
    [
        *("korra", "korra-16", "korra_dim16", "korra rank 16", "korra-r16", "16dim_korra"),
        *("korra_fp16", "sdxl10_korra", "korra-v2", "korra-000012", "korra4", "a2024-16"),
        *("korra_0.08MB_r16", "korra-0.08 mb"),
    ],
)
def test_a_name_that_is_right_or_says_nothing_is_not_spoken_of(name: str, tmp_path: Path) -> None:
    assert named(tmp_path, name) == {}


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("korra-128", "lora-name-rank", "the file name says rank 128, but the rank is 16"),
        ("korra_dim8", "lora-name-rank", "the file name says rank 8, but the rank is 16"),
        ("korra 32dim", "lora-name-rank", "the file name says rank 32, but the rank is 16"),
        ("korra_100MB", "lora-name-size", "the file name says 100mb, but the file has 0.1 MB"),
        ("korra-1gb", "lora-name-size", "the file name says 1gb, but the file has 0.1 MB"),
        ("korra_bf16", "lora-name-precision", "the file name says bf16, but it is stored as fp16"),
    ],
)
def test_a_name_that_is_wrong_is_told(name: str, code: str, message: str, tmp_path: Path) -> None:
    assert named(tmp_path, name) == {code: message}


@pytest.mark.parametrize(
    "metadata",
    [
        {"ss_network_dim": "16", "ss_network_alpha": "16.0"},
        {"ss_network_dim": "Dynamic", "ss_network_alpha": "Dynamic"},
        {"ss_network_args": "not JSON"},
        {"ss_network_args": "[]"},
        {"ss_network_args": '{"conv_dim": "8"}'},
        {"ss_base_model_version": "sdxl_base_v1-0"},
    ],
)
def test_metadata_that_fits_is_not_spoken_of(metadata: dict[str, str], tmp_path: Path) -> None:
    assert named(tmp_path, "korra", metadata) == {}


@pytest.mark.parametrize(
    ("metadata", "code", "message"),
    [
        (
            {"ss_network_dim": "512"},
            "lora-metadata-rank",
            "the metadata says ss_network_dim 512, but the largest rank is 16",
        ),
        (
            {"ss_network_alpha": "8"},
            "lora-metadata-alpha",
            "the metadata says ss_network_alpha 8, but alpha is 16",
        ),
        (
            {"modelspec.architecture": "stable-diffusion-v1/lora"},
            "lora-metadata-base",
            "the metadata says stable-diffusion-v1/lora, but the shapes are of SDXL",
        ),
        (
            {"sshs_model_hash": "0" * 64},
            "lora-hash",
            "the weights do not match the hash in the metadata (sshs_model_hash)",
        ),
    ],
)
def test_metadata_that_disagrees_with_the_tensors_is_told(
    metadata: dict[str, str], code: str, message: str, tmp_path: Path
) -> None:
    assert named(tmp_path, "korra", metadata) == {code: message}


def test_convolutions_have_a_rank_of_their_own(tmp_path: Path) -> None:
    made = lora_files.whole(16)
    down, up = np.ones((4, 3, 3, 3), "float32"), np.ones((8, 4, 1, 1), "float32")
    made |= lora_files.halves("lora_unet_output_blocks_0_0_in_layers_2", up, down, alpha=4)
    metadata = {"ss_network_dim": "16", "ss_network_args": '{"conv_dim": "8"}'}
    found = said(lora_files.write(tmp_path / "a.safetensors", made, metadata))
    text = "the metadata says ss_network_args: conv_dim 8, but the largest rank is 4"
    assert found == {"lora-metadata-rank": text}


def without(*names: str) -> dict[str, Matrix]:
    made = lora_files.whole(4)
    return {key: array for key, array in made.items() if not key.startswith(names)}


@pytest.mark.parametrize(
    ("lacking", "told"),
    [((TE1, TE2), "text encoder 1 and no text encoder 2"), ((TE2,), "text encoder 2")],
)
def test_missing_text_encoders_are_told(
    lacking: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    found = said(lora_files.write(tmp_path / "a.safetensors", without(*lacking)))
    assert list(found) == ["lora-no-text-encoder"]
    assert found["lora-no-text-encoder"].startswith(f"no {told}: not trained, or left")


def test_a_missing_unet_is_told(tmp_path: Path) -> None:
    made = without(UNET, UNET_CONTEXT)
    assert list(said(lora_files.write(tmp_path / "a.safetensors", made))) == ["lora-no-unet"]


def test_what_is_easily_overlooked_is_told(tmp_path: Path) -> None:
    made = lora_files.whole(4)
    made[f"{UNET}.lora_up.weight"][:] = 0
    del made[f"{TE1}.alpha"]
    made[f"{TE2}.lora_up.weight"] = made[f"{TE2}.lora_up.weight"].astype("float16")
    made["lora_unet_x.hada_w1_a"] = np.ones((2, 2), "float32")
    found = said(lora_files.write(tmp_path / "a.safetensors", made))
    assert found == {
        "lora-still": f"1 module without effect: {UNET}",
        "lora-no-alpha": "no alpha in 1 module: sd-scripts uses the rank instead",
        "lora-mixed-precision": "stored as fp32 and fp16",
        "lora-not-measured": "1 layer with LoHa, not included in the norms",
        "lora-left-over": "not read, and not included in the norms: 1 tensor (0.05% of the "
        "numbers): lora_unet_x.hada_w1_a",
    }


def test_the_layer_that_sdxl_does_not_use_is_told_as_such(tmp_path: Path) -> None:
    name = "lora_te1_text_model_encoder_layers_11_mlp_fc1"
    made = lora_files.whole(4)
    made |= lora_files.halves(name, np.zeros((4, 2), "float32"), np.ones((2, 4), "float32"), 2)
    found = said(lora_files.write(tmp_path / "a.safetensors", made))
    text = "1 module without effect: all of te1 layer 11, whose output SDXL does not use"
    assert found == {"lora-still": text}


@pytest.mark.parametrize(
    ("module", "columns", "codes"),
    [
        ("lora_unet_double_blocks_0_img_attn_qkv", 8, []),
        ("lora_unet_down_blocks_0_attentions_0_attn2_to_k", 768, ["lora-no-text-encoder"]),
    ],
)
def test_text_encoders_are_missed_where_the_model_has_them(
    module: str, columns: int, codes: list[str], tmp_path: Path
) -> None:
    up, down = np.ones((4, 2), "float32"), np.ones((2, columns), "float32")
    made = lora_files.halves(module, up, down, 2)
    assert list(said(lora_files.write(tmp_path / "a.safetensors", made))) == codes


def test_an_older_model_has_one_text_encoder(tmp_path: Path) -> None:
    up, down = np.ones((4, 2), "float32"), np.ones((2, 768), "float32")
    made = lora_files.halves("lora_unet_down_blocks_0_attentions_0_attn2_to_k", up, down, 2)
    made |= lora_files.halves("lora_te_text_model_encoder_layers_0_mlp_fc1", up, down, 2)
    assert said(lora_files.write(tmp_path / "a.safetensors", made)) == {}


@pytest.mark.parametrize(
    "extra",
    [
        {"something.new": np.ones(2, "float32")},
        {"te.x.lora_down.weight": np.ones((2, 3)), "te.x.lora_up.weight": np.ones((3, 2))},
    ],
)
def test_no_part_is_missing_while_something_is_not_understood(
    extra: dict[str, Matrix], tmp_path: Path
) -> None:
    for lacking in ((TE1, TE2), (UNET, UNET_CONTEXT)):
        file = lora_files.write(tmp_path / "a.safetensors", without(*lacking) | extra)
        codes = said(file).keys()
        assert codes & {"lora-left-over", "lora-strange-names"}
        assert not codes & {"lora-no-text-encoder", "lora-no-unet"}
