from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import difference
from kohya_presets.loras.difference import Difference
from kohya_presets.loras.told import difference_text
from tests import lora_files
from tests.lora_files import TE1, UNET, Matrix


def between(tmp_path: Path, a: dict[str, Matrix], b: dict[str, Matrix]) -> Difference:
    one, other = (
        lora_files.write(tmp_path / f"{name}.safetensors", made)
        for name, made in (("a", a), ("b", b))
    )
    return difference.between(one, other)


def product(made: dict[str, Matrix], name: str) -> Matrix:
    full: Matrix = made[f"{name}.lora_up.weight"] @ made[f"{name}.lora_down.weight"]
    return full.astype("float64")


def test_a_file_is_no_distance_from_itself(tmp_path: Path) -> None:
    made = lora_files.whole(4)
    found = between(tmp_path, made, made)
    assert found.all.distance <= 1e-14 * found.all.norm_a
    assert found.all.cosine == pytest.approx(1)
    assert found.lone == ((), ())


def test_distances_are_those_of_the_products_whatever_the_ranks(tmp_path: Path) -> None:
    a = lora_files.random_module(UNET, 4, seed=1) | lora_files.random_module(TE1, 4, seed=2)
    b = lora_files.random_module(UNET, 9, seed=3) | lora_files.random_module(TE1, 2, seed=4)
    found = between(tmp_path, a, b)
    expected = [np.linalg.norm(product(a, name) - product(b, name)) for name in (UNET, TE1)]
    assert [part.distance for part in found.parts] == pytest.approx(expected, rel=1e-6)
    assert found.all.distance == pytest.approx(np.hypot(*expected), rel=1e-6)
    assert [block.name for block in found.blocks] == ["input_blocks_4", "te1 layer 0"]


def test_twice_the_alpha_is_twice_the_change(tmp_path: Path) -> None:
    a, b = (lora_files.random_module(UNET, 4, alpha) for alpha in (4, 8))
    found = between(tmp_path, a, b).all
    assert found.relative == pytest.approx(1)
    assert found.norm_b == pytest.approx(2 * found.norm_a)
    assert found.cosine == pytest.approx(1)


def test_a_module_that_one_lacks_is_all_distance(tmp_path: Path) -> None:
    a = lora_files.random_module(UNET, 4, seed=1)
    b = a | lora_files.random_module(TE1, 4, seed=2)
    found = between(tmp_path, a, b)
    assert found.lone == ((), (TE1,))
    assert found.all.distance == pytest.approx(np.linalg.norm(product(b, TE1)), rel=1e-6)
    (_, te1) = found.parts
    assert (te1.norm_a, te1.relative, te1.cosine) == (0, None, None)


def test_files_of_two_programs_are_compared_by_module(tmp_path: Path) -> None:
    a = lora_files.random_module(UNET, 4, alpha=4)
    stem = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    b = {
        f"{stem}.lora_B.weight": a[f"{UNET}.lora_up.weight"],
        f"{stem}.lora_A.weight": a[f"{UNET}.lora_down.weight"],
    }
    found = between(tmp_path, a, b)
    assert found.all.distance <= 1e-14 * found.all.norm_a


def test_a_1x1_convolution_is_a_matrix(tmp_path: Path) -> None:
    a = lora_files.random_module(UNET, 4)
    b = {name: array[:, :, None, None] for name, array in a.items()}
    assert between(tmp_path, a, b).all.distance <= 1e-6


def test_loras_of_different_models_are_refused(tmp_path: Path) -> None:
    a = lora_files.random_module(UNET, 4)
    with pytest.raises(UserError, match="have no module in common"):
        between(tmp_path, a, lora_files.random_module(TE1, 4))
    b = lora_files.halves(UNET, np.ones((24, 2)), np.ones((2, 99)))
    with pytest.raises(UserError, match=r"is \(24, 20\) in .*, but \(24, 99\) in .*"):
        between(tmp_path, a, b)


def test_what_is_not_compared_is_said(tmp_path: Path) -> None:
    made = lora_files.halves(UNET, np.ones((4, 1)), np.ones((1, 9)), alpha=1)
    found = between(tmp_path, made, {**made, f"{UNET}.dora_scale": np.ones((4, 1))})
    assert difference_text.text(found).splitlines()[-3:] == [
        "B has 1 layer with DoRA: not compared.",
        f"B has tensors that are not compared: 1 tensor (22.22% of the numbers): {UNET}.dora_scale",
        "In the compared layers, B differs from A by 0.000 %. "
        "The tensors that are not compared may differ too.",
    ]
    assert difference_text.values(found)["left_over"] == [[], [f"{UNET}.dora_scale"]]
    assert difference_text.values(found)["left_over_share"] == [0, pytest.approx(4 / 18)]
    assert difference_text.values(found)["not_compared"] == [{}, {"DoRA": 1}]


def test_the_text_ends_with_a_sentence(tmp_path: Path) -> None:
    a = lora_files.halves(UNET, np.full((4, 1), 1.0), np.full((1, 9), 1.0), alpha=1)
    b = lora_files.halves(UNET, np.full((4, 1), 1.0), np.full((1, 9), 1.5), alpha=1)
    found = between(tmp_path, a, b)
    assert difference_text.text(found).splitlines() == [
        f"A  {tmp_path / 'a.safetensors'}",
        f"B  {tmp_path / 'b.safetensors'}",
        "",
        "block                    |A|       |B|     |A-B|    of |A|    cosine",
        "input_blocks_4             6         9         3   50.000%   1.00000",
        "U-Net                      6         9         3   50.000%   1.00000",
        "all                        6         9         3   50.000%   1.00000",
        "",
        "largest differences",
        f"  {UNET}  |A-B| 3, |A| 6",
        "",
        "B differs from A by 50.000 %.",
    ]
    assert json.loads(json.dumps(difference_text.values(found)))["all"]["relative"] == 0.5


@pytest.mark.parametrize(
    ("scale", "sentence"),
    [
        (1.0, "A and B make the same change."),
        (1.0004, "B differs from A by 0.040 %, which is fp16 rounding."),
        (1.01, "B differs from A by 1.000 %."),
    ],
)
def test_the_sentence_says_what_it_comes_to(scale: float, sentence: str, tmp_path: Path) -> None:
    a = lora_files.halves(UNET, np.full((4, 1), 1.0), np.full((1, 9), 1.0))
    b = lora_files.halves(UNET, np.full((4, 1), 1.0), np.full((1, 9), scale))
    assert difference_text.sentence(between(tmp_path, a, b)) == sentence
