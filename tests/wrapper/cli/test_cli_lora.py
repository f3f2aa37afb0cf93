"""`kohya-presets lora`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from kohya_presets.errors import UserError
from tests import lora_files
from tests.lora_files import UNET, Matrix
from wrapper.cli import cli

TO_Q = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"
CONVOLUTION = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
IN_PROJ = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight"
TE1_FC1 = "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
SHAPES = {
    TE1_FC1: (48, 32),
    IN_PROJ: (96, 32),
    TO_Q: (64, 64),
    CONVOLUTION: (16, 8, 3, 3),
    "model.diffusion_model.label_emb.0.0.weight": (8, 8),
    "first_stage_model.encoder.conv_in.weight": (8, 3, 3, 3),
}


def run(*words: str | Path) -> Result:
    line = ["lora", *map(str, words)]
    return CliRunner().invoke(cli, line, catch_exceptions=False)


def test_info_tells_as_text_and_as_json(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "korra-32.safetensors", lora_files.whole(4))
    said = run("info", file).stdout
    assert said.startswith("korra-32.safetensors: rank 4, fp32")
    assert "the file name says rank 32, but the rank is 4 [lora-name-rank]" in said
    found = json.loads(run("info", file, "--json").stdout)
    assert [finding["code"] for finding in found["problems"]] == ["lora-name-rank"]
    assert found["blocks"][0]["name"] == "input_blocks_4"


def test_info_of_no_lora_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the weights file"):
        run("info", tmp_path / "missing.safetensors")


def test_diff_tells_as_text_and_as_json(tmp_path: Path) -> None:
    a = lora_files.write(tmp_path / "a.safetensors", lora_files.random_module(UNET, 4, 4))
    b = lora_files.write(tmp_path / "b.safetensors", lora_files.random_module(UNET, 4, 8))
    assert run("diff", a, b).stdout.endswith("B differs from A by 100.000 %.\n")
    assert json.loads(run("diff", a, b, "--json").stdout)["all"]["relative"] == pytest.approx(1)


def models(tmp_path: Path, changes: dict[str, Matrix]) -> tuple[Path, Path]:
    """Return a base of zeros, and a tuned model that has `changes`."""
    files = tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"
    base: dict[str, Any] = {name: np.zeros(shape, "float16") for name, shape in SHAPES.items()}
    save_file(base, files[0])
    save_file({**base, **changes}, files[1])
    return files


def diagonal(*values: float) -> Matrix:
    """Return a change of the 64 x 64 layer with these singular values."""
    matrix = np.zeros(SHAPES[TO_Q], "float16")
    matrix[range(len(values)), range(len(values))] = values
    return matrix


def test_rank_tells_what_each_rank_keeps(tmp_path: Path, trainer_python: str) -> None:
    stacked = np.zeros(SHAPES[IN_PROJ], "float16")
    stacked[40, 3] = 5  # in the key's third
    base, tuned = models(tmp_path, {TO_Q: diagonal(4, 3), IN_PROJ: stacked})
    words = ("--base", base, "--tuned", tuned, "--python", trainer_python)
    page = tmp_path / "pages" / "rank.html"
    result = run("rank", *words, "--html", page, "--json")
    found = json.loads(result.stdout)
    kept = {module["name"]: module["retained"][:2] for module in found["modules"]}
    assert kept == {
        UNET: pytest.approx([16 / 25, 1]),
        "lora_te2_text_model_encoder_layers_0_self_attn_k_proj": pytest.approx([1, 1]),
    }
    assert found["all"]["retained"][0] == pytest.approx((16 + 25) / 50)
    assert found["unchanged"] == 3  # query and value, and text encoder 1
    assert len(found["detour"]) == 2
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert [file.name for file in page.parent.iterdir()] == ["rank.html"]
    assert "rank  3/3" in result.stderr  # stored tensors, the convolution not among them


def test_rank_tells_as_text(tmp_path: Path, trainer_python: str) -> None:
    convolution = np.ones(SHAPES[CONVOLUTION], "float16")
    base, tuned = models(tmp_path, {TO_Q: diagonal(4, 3), CONVOLUTION: convolution})
    words = ("--base", base, "--tuned", tuned, "--python", trainer_python)
    said = run("rank", *words).stdout
    assert said.startswith(
        "How much of the squared change each rank keeps (1 module, 4 unchanged):\n"
    )
    assert "\nRank 2 keeps 100.0% of the change in 0.0 MB; doubling the rank adds less" in said
    said = run("rank", *words, "--conv").stdout
    assert said.startswith(
        "How much of the squared change each rank keeps (2 modules, 4 unchanged):\n"
    )
    assert "input_blocks_1 " in said


def test_rank_of_what_is_no_change_or_not_finite_is_an_error(
    tmp_path: Path, trainer_python: str
) -> None:
    base, tuned = models(tmp_path, {TO_Q: diagonal(float("nan"))})
    words = ("--base", base, "--python", trainer_python)
    with pytest.raises(UserError, match=rf"{TO_Q}: expected finite numbers, found inf or nan"):
        run("rank", *words, "--tuned", tuned)
    with pytest.raises(UserError, match="the tuned model and the base have the same weights"):
        run("rank", *words, "--tuned", base)


def test_rank_tells_rounding_from_training(tmp_path: Path, trainer_python: str) -> None:
    rng = np.random.default_rng(0)
    base = {name: rng.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}
    rounded = {name: array.astype("float16") for name, array in base.items()}
    trained = rounded[TO_Q].copy()
    trained[0, 0] += np.float16(0.25)
    files = tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"
    save_file(base, files[0])
    save_file({**rounded, TO_Q: trained}, files[1])
    words = ("--base", files[0], "--tuned", files[1], "--python", trainer_python)
    told = [
        json.loads(run("rank", *words, *more, "--json").stdout) for more in ((), ("--round-base",))
    ]
    changed = [[module["name"] for module in found["modules"]] for found in told]
    assert (len(changed[0]), changed[1]) == (5, [UNET])
    alike = abs(float(trained[0, 0]) - float(rounded[TO_Q][0, 0]))
    rounding = [found["rounding"] for found in told]
    assert [found.pop("left_out") for found in rounding] == [False, True]
    assert rounding[0] == rounding[1]
    assert (rounding[0]["base"], rounding[0]["tuned"]) == ("fp32", "fp16")
    assert rounding[0]["alike"] == pytest.approx(alike)
    assert rounding[0]["rounding"] == pytest.approx(
        sum(
            float(((base[name] - rounded[name].astype("float64")) ** 2).sum())
            for name in (TO_Q, IN_PROJ, TE1_FC1)
        )
        ** 0.5
    )
    page = tmp_path / "rank.html"
    said = run("rank", *words, "--html", page).stdout
    assert said.startswith("The base is stored as fp32, the tuned model as fp16.\n")
    assert "The rounding counts as training below. To leave it out, add --round-base.\n" in said
    assert "The base is stored as fp32" in page.read_text("utf-8")


def test_rank_lets_no_control_character_of_a_name_through(
    tmp_path: Path, trainer_python: str
) -> None:
    evil = TO_Q.replace("attn1", "\x1b[31mattn1")
    base, tuned = models(tmp_path, {evil: diagonal(1.0)})
    words = ("--base", base, "--tuned", tuned, "--python", trainer_python)
    with pytest.raises(UserError, match=r"lacks model.*\\x1b\[31mattn1") as caught:
        run("rank", *words)
    assert "\x1b" not in str(caught.value)


def test_rank_writes_its_page_over_nothing(tmp_path: Path) -> None:
    base, tuned = models(tmp_path, {TO_Q: diagonal(3.0)})
    before = tuned.read_bytes()
    with pytest.raises(UserError, match="already exists"):
        run("rank", "--base", base, "--tuned", tuned, "--html", tuned)
    assert tuned.read_bytes() == before


def test_rank_of_a_lora_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole(4))
    with pytest.raises(UserError, match=r"expected an SDXL checkpoint, .* is a LoRA"):
        run("rank", "--base", file, "--tuned", file, "--python", "no-such-python")
