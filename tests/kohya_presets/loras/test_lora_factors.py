from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import factors, modules, weights
from kohya_presets.loras.factors import Factors
from tests import lora_files, tensors
from tests.lora_files import UNET, Matrix


def read(file: Path) -> Factors:
    header = weights.read(file)
    with factors.Reader(header) as reader:
        return reader.factors(modules.of(header).all[0])


def random(rank: int, seed: int, rows: int = 30, columns: int = 20) -> Factors:
    rng = np.random.default_rng(seed)
    return Factors(rng.normal(size=(rows, rank)), rng.normal(size=(rank, columns)), None)


def full(a: Factors) -> Matrix:
    product: Matrix = a.up @ a.down
    return product


@pytest.mark.parametrize(("rank_a", "rank_b"), [(1, 1), (4, 7), (20, 3), (40, 40)])
def test_norm_inner_product_and_distance_are_those_of_the_full_matrices(
    rank_a: int, rank_b: int
) -> None:
    a, b = random(rank_a, 1), random(rank_b, 2)
    assert factors.norm(a) == pytest.approx(np.linalg.norm(full(a)), rel=1e-12)
    assert factors.inner(a, b) == pytest.approx((full(a) * full(b)).sum(), rel=1e-10)
    assert factors.compared(a, b).distance == pytest.approx(
        np.linalg.norm(full(a) - full(b)), rel=1e-12
    )


@pytest.mark.parametrize("apart", [1e-2, 1e-6, 1e-9, 1e-12])
def test_a_small_distance_is_not_lost_in_large_norms(apart: float) -> None:
    a = random(4, 1)
    shift = random(1, 3)
    b = Factors(np.hstack([a.up, apart * shift.up]), np.vstack([a.down, shift.down]), None)
    expected = apart * factors.norm(shift)
    assert factors.compared(a, b).distance == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("apart", [1e-2, 1e-6, 1e-9, 1e-12])
def test_nor_that_of_factors_that_are_nearly_the_same(apart: float) -> None:
    a, noise = random(4, 1), random(4, 3)
    b = Factors(a.up + apart * noise.up, a.down - apart * noise.down, None)
    first_order = noise.up @ a.down - a.up @ noise.down
    expected = apart * np.linalg.norm(first_order - apart * full(noise))
    assert factors.compared(a, b).distance == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("a", [random(4, 1), Factors(np.zeros((5, 2)), np.zeros((2, 3)), None)])
def test_there_is_no_distance_to_itself(a: Factors) -> None:
    assert factors.compared(a, a).distance == 0


def test_the_same_product_from_other_matrices_is_no_distance() -> None:
    a = random(6, 1)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6))).Q
    b = Factors(a.up @ turn, turn.T @ a.down, None)
    assert factors.compared(a, b).distance <= 1e-14 * factors.norm(a)


@pytest.mark.parametrize(("alpha", "scale"), [(8.0, 2.0), (1.0, 0.25), (0.0, 1.0), (None, 1.0)])
def test_alpha_per_rank_scales_the_change(
    alpha: float | None, scale: float, tmp_path: Path
) -> None:
    made = lora_files.random_module(UNET, 4, alpha)
    product = made[f"{UNET}.lora_up.weight"] @ made[f"{UNET}.lora_down.weight"]
    found = read(lora_files.write(tmp_path / "a.safetensors", made))
    assert found.alpha == alpha
    assert factors.norm(found) == pytest.approx(scale * np.linalg.norm(product), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_precisions_are_read_exactly(dtype: str, tmp_path: Path) -> None:
    made = lora_files.random_module(UNET, 4, dtype=dtype)
    found = read(lora_files.write(tmp_path / "a.safetensors", made))
    assert (found.down == made[f"{UNET}.lora_down.weight"]).all()


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    made = {
        name: torch.from_numpy(array).bfloat16()
        for name, array in lora_files.random_module(UNET, 4).items()
    }
    save_file(made, tmp_path / "a.safetensors")
    found = read(tmp_path / "a.safetensors")
    assert (found.up == made[f"{UNET}.lora_up.weight"].double().numpy()).all()


def test_an_alpha_may_be_a_whole_number(tmp_path: Path) -> None:
    made = lora_files.random_module(UNET, 4) | {f"{UNET}.alpha": np.array(2)}
    assert read(lora_files.write(tmp_path / "a.safetensors", made)).alpha == 2


def test_convolutions_are_measured_with_their_kernel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    up, down = rng.normal(size=(8, 2, 1, 1)), rng.normal(size=(2, 6, 3, 3))
    found = read(lora_files.write(tmp_path / "a.safetensors", lora_files.halves("a", up, down)))
    expected = np.einsum("or,rikl->oikl", up[:, :, 0, 0], down)
    assert factors.norm(found) == pytest.approx(np.linalg.norm(expected))


def test_a_kernel_between_two_1x1_is_measured(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    up, middle, down = (rng.normal(size=s) for s in ((8, 2, 1, 1), (2, 2, 3, 3), (2, 6, 1, 1)))
    made = lora_files.halves("a", up, down) | {"a.lora_mid.weight": middle}
    found = read(lora_files.write(tmp_path / "a.safetensors", made))
    expected = np.einsum("or,rskl,si->oikl", up[:, :, 0, 0], middle, down[:, :, 0, 0])
    assert factors.norm(found) == pytest.approx(np.linalg.norm(expected))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_named(bad: float, tmp_path: Path) -> None:
    made = lora_files.random_module(UNET, 4)
    made[f"{UNET}.lora_up.weight"][3, 1] = bad
    with pytest.raises(UserError, match=rf"{UNET}\.lora_up\.weight contains inf or NaN"):
        read(lora_files.write(tmp_path / "a.safetensors", made))


def test_numbers_of_an_unknown_kind_are_named(tmp_path: Path) -> None:
    made = {name: array.astype("uint8") for name, array in lora_files.whole().items()}
    with pytest.raises(UserError, match=r"has the type U8, known: F64, F32, F16, BF16"):
        read(lora_files.write(tmp_path / "a.safetensors", made))


def test_a_header_that_lies_about_sizes_is_named(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", tensors.lora(), dtype="F16")
    file.write_bytes(file.read_bytes().replace(b'"F16"', b'"F32"'))
    with pytest.raises(UserError, match=r"bytes do not fit \(32, 16\) as F32"):
        read(file)
