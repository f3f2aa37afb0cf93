"""What the header of a base model tells before a run: channels, prediction, precision, parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.loras import weights
from kohya_presets.validate import base
from tests import tensors

INPAINTING = {base.INPUT: (320, 9, 3, 3)}
NORMAL = {base.INPUT: (320, 4, 3, 3)}
V = {"v_parameterization": True}


def found(
    tmp_path: Path,
    more: Mapping[str, tuple[int, ...]] | None = None,
    train: Mapping[str, Any] | None = None,
    script: str = "sdxl_train.py",
    **options: Any,
) -> list[tuple[str, str]]:
    file = tensors.write(tmp_path / "base.safetensors", {**tensors.SDXL, **(more or {})}, **options)
    return [(p.code, p.severity) for p in base.problems(weights.read(file), script, train or {})]


def test_a_plain_base_is_no_problem(tmp_path: Path) -> None:
    epsilon = {base.PREDICTION: "epsilon"}
    assert found(tmp_path) == found(tmp_path, NORMAL, metadata=epsilon) == []
    assert found(tmp_path, NORMAL, dtype="BF16") == found(tmp_path, NORMAL, dtype="F32") == []


def test_a_table_of_whole_numbers_is_not_too_coarse(tmp_path: Path) -> None:
    header = weights.read(tensors.write(tmp_path / "a.safetensors", tensors.SDXL))
    name = "conditioner.embedders.0.transformer.text_model.embeddings.position_ids"
    positions = {name: weights.Tensor("I64", (1, 77), 0, 616)}  # as the published SDXL has
    header = replace(header, tensors={**header.tensors, **positions})
    assert not list(base.problems(header, "sdxl_train.py", {}))


@pytest.mark.parametrize(
    ("more", "train", "expected"),
    [
        (INPAINTING, {}, ["base-channels"]),
        (INPAINTING, {"train_inpainting": True}, []),
        (NORMAL, {"train_inpainting": True}, []),  # sd-scripts widens it itself
        ({base.INPUT: (320, 8, 3, 3)}, {"train_inpainting": True}, ["base-channels"]),
    ],
)
def test_a_base_for_another_task(
    more: dict[str, tuple[int, ...]], train: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    assert [code for code, _ in found(tmp_path, more, train)] == expected


@pytest.mark.parametrize(
    ("keys", "said", "train", "expected"),
    [
        (("v_pred",), None, {}, [("base-predicts-v", "error")]),
        (("ztsnr",), None, {}, [("base-predicts-v", "error")]),
        (("v_pred", "ztsnr"), "epsilon", {}, [("base-predicts-v", "error")]),  # as ComfyUI reads it
        ((), "v", {}, [("base-predicts-v", "error")]),
        ((), "v_prediction", {"v_parameterization": False}, [("base-predicts-v", "error")]),
        (("v_pred",), "v", V, []),
        (("v_pred", "ztsnr"), None, V, [("base-zero-snr", "warning")]),
        (("v_pred", "ztsnr"), None, {**V, "zero_terminal_snr": True}, []),
        ((), "epsilon", V, [("base-predicts-noise", "error")]),
        ((), None, V, [("base-predicts-noise", "warning")]),
    ],
)
def test_a_base_that_predicts_another_thing_than_is_trained(
    keys: tuple[str, ...],
    said: str | None,
    train: dict[str, Any],
    expected: list[tuple[str, str]],
    tmp_path: Path,
) -> None:
    metadata = {base.PREDICTION: said} if said else None
    assert found(tmp_path, dict.fromkeys(keys, (0,)), train, metadata=metadata) == expected


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "U8"])
def test_a_base_that_is_too_coarse(dtype: str, tmp_path: Path) -> None:
    assert found(tmp_path, dtype=dtype) == [("base-precision", "error")]
    network, options = "sdxl_train_network.py", {"fp8_base": True}
    assert found(tmp_path, None, options, network, dtype=dtype) == []
    assert found(tmp_path, None, {}, network, dtype=dtype) == [("base-precision", "error")]
    assert found(tmp_path, None, {}, "flux_train_network.py", dtype=dtype) == []


def test_a_stable_diffusion_1_without_its_vae_is_told(tmp_path: Path) -> None:
    names = ("cond_stage_model.transformer.x", "model.diffusion_model.x")
    file = tensors.write(tmp_path / "a.safetensors", dict.fromkeys(names, (1,)))
    (problem,) = base.problems(weights.read(file), "train_network.py", {})
    assert problem.message.startswith("this checkpoint has no VAE")
