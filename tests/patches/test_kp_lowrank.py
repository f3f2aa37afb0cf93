"""The best approximation of a matrix by one of small rank: as good as it says, on every matrix."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.usually import usually

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.fast_lora import kp_lowrank  # noqa: E402

SHAPES = ((320, 320), (640, 256), (256, 640))  # square, tall, wide
RANKS = (1, 8, 12, 16, 28)  # up to 28 of 256 a Krylov space is searched
LEAST = 1.001  # times the least possible error is what is promised,
FLOOR = kp_lowrank.FLOOR  # or so much of the norm above it


def spectra(k: int, rank: int) -> Iterator[tuple[str, Any]]:
    """Yield singular values that are hard in one way each; k of them."""
    i = torch.arange(1, k + 1).double()
    ones = torch.ones(k).double()
    dice = torch.rand(k, generator=torch.Generator().manual_seed(k)).double()
    yield "linear", 1 - i / (k + 1)
    for power in (0.5, 1, 2):
        yield f"power {power}", i**-power
    yield "exponential", 0.97**i
    for lower in (0.99, 0.9, 0.5, 0.05):
        yield f"step to {lower}", torch.where(i <= rank, 1.0, lower)
    yield "two that tower", torch.where(i <= 2, 30.0, 1.0)
    yield "exact low rank", torch.where(i <= rank, 1.0, 0.0) * ones
    yield "exact twice the rank", torch.where(i <= 2 * rank, 1.0, 0.0) * ones
    yield "nearly alike", torch.where(i <= 2 * rank, 1 + 0.05 * dice, 0.0)
    yield "nearly alike over noise", torch.where(i <= 2 * rank, 1 + 0.02 * dice, 0.005)


def with_values(values: Any, shape: tuple[int, int], seed: int = 0) -> Any:
    """Return a random matrix (fp32) of these singular values."""
    dice = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(size, len(values), generator=dice, dtype=torch.float64)).Q
        for size in shape
    )
    return ((left * values) @ right.T).float()


def check(matrix: Any, rank: int, **options: Any) -> Any:
    """Return the approximation, once everything it says of itself is true."""
    found = kp_lowrank.truncate(matrix, rank, **options)
    exact = matrix.double()
    values = torch.linalg.svdvals(exact)
    norm, least = float(values.norm()), float(values[rank:].norm())
    error = float((exact - found.up.double() @ found.down.double()).norm())
    assert found.norm == pytest.approx(norm, rel=1e-5)
    assert found.error == pytest.approx(error, rel=1e-3, abs=FLOOR * norm)
    assert error <= max(LEAST * least, least + FLOOR * norm)
    assert found.best <= least * (1 + 2e-4) + 1e-30
    living = found.values > 1e-5 * found.values[0]
    lengths = found.down[living].double().norm(dim=1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-3)
    assert bool((found.values.diff() < 1e-5 * found.values[0]).all())
    return found


USUAL = tuple(zip(RANKS, itertools.cycle(SHAPES)))  # one shape for each rank


@pytest.mark.parametrize(
    ("rank", "shape"), usually(itertools.product(RANKS, SHAPES), USUAL), ids=str
)
def test_the_certificate_never_lies(
    rank: int, shape: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    seeds = 2 if request.config.getoption("--every-release") else 1
    for name, values in spectra(min(shape), rank):
        for seed in range(seeds):
            try:
                check(with_values(values, shape, seed), rank, seed=seed)
            except AssertionError as error:
                raise AssertionError(f"{name}, seed {seed}: {error}") from None


@pytest.mark.parametrize("rank", range(1, 29))
def test_every_rank_is_had(rank: int) -> None:
    matrix = torch.randn(320, 256, generator=torch.Generator().manual_seed(0))
    assert check(matrix, rank).rank == rank


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rank", [64, 200, 256, 1000])
def test_large_ranks_come_from_the_gram_matrix(shape: tuple[int, int], rank: int) -> None:
    found = check(torch.randn(*shape, generator=torch.Generator().manual_seed(1)), rank)
    assert found.method == "gram"
    assert found.rank == min(rank, *shape)


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e-3, 1e9, 1e18, 1e30])
@pytest.mark.parametrize("rank", [8, 100])
def test_scale_changes_nothing_else(scale: float, rank: int) -> None:
    matrix = with_values(torch.arange(1, 321).double() ** -0.7, (320, 320))
    found = check(matrix * scale, rank)
    assert found.error / scale == pytest.approx(check(matrix, rank).error, rel=1e-4)


def _duplicated(matrix: Any) -> Any:
    return torch.cat([matrix[:, :160]] * 2, dim=1)


def _one_element(matrix: Any) -> Any:
    only = torch.zeros_like(matrix)
    only[17, 5] = 3.0
    return only


def _few_rows(matrix: Any) -> Any:
    return torch.where((torch.arange(len(matrix)) < 5)[:, None], matrix, 0.0)


def _half_zero(matrix: Any) -> Any:
    return torch.where((torch.arange(len(matrix)) < 160)[:, None], matrix, 0.0)


def _identity(matrix: Any) -> Any:
    return torch.eye(320)


def _block_diagonal(matrix: Any) -> Any:
    block = torch.zeros_like(matrix)
    block[:160, :160], block[160:, 160:] = matrix[:160, :160], matrix[160:, 160:]
    return block


def _rank_one(matrix: Any) -> Any:
    return matrix[:, :1] @ matrix[:1]


ODD: tuple[Callable[[Any], Any], ...] = (
    _duplicated,
    _one_element,
    _few_rows,
    _half_zero,
    _identity,
    _block_diagonal,
    _rank_one,
)


@pytest.mark.parametrize("odd", ODD, ids=lambda f: f.__name__.strip("_").replace("_", " "))
@pytest.mark.parametrize("rank", [1, 16, 32, 100])
def test_exhausted_spaces(odd: Callable[[Any], Any], rank: int) -> None:
    check(odd(torch.randn(320, 320, generator=torch.Generator().manual_seed(2))), rank)


def test_nothing_is_approximated_by_nothing() -> None:
    found = kp_lowrank.truncate(torch.zeros(64, 32), 8)
    assert (found.error, found.best, found.norm) == (0, 0, 0)
    assert found.up.shape == (64, 8)
    assert not (found.up @ found.down).any()


@pytest.mark.parametrize("apart", [0, 1e-4, 3e-3])
@pytest.mark.parametrize("rank", [32, 64])
def test_none_of_many_values_alike_is_missed(rank: int, apart: float) -> None:
    # More of them than a block has rows, of which a Krylov space alone would find a block's worth.
    i = torch.arange(1, 641).double()
    dice = torch.rand(640, generator=torch.Generator().manual_seed(1)).double()
    values = torch.where(i <= rank, 1.1 + apart * dice, 1 - i / 1280)
    assert check(with_values(values, (640, 640)), rank).method == "gram"


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_an_error(bad: float) -> None:
    matrix = torch.randn(64, 64)
    matrix[3, 4] = bad
    with pytest.raises(ValueError, match="finite"):
        kp_lowrank.truncate(matrix, 4)


def test_the_same_seed_gives_the_same() -> None:
    matrix = torch.randn(320, 320, generator=torch.Generator().manual_seed(3))
    once, twice = (kp_lowrank.truncate(matrix, 16, seed=5) for _ in range(2))
    assert torch.equal(once.up, twice.up)
    assert torch.equal(once.down, twice.down)


@pytest.mark.parametrize("rank", [16, 64])
def test_a_smaller_rank_is_cut_from_a_larger(rank: int) -> None:
    matrix = with_values(torch.arange(1, 321).double() ** -0.7, (320, 320))
    cut = kp_lowrank.truncate(matrix, 128).cut(rank)
    least = float(torch.linalg.svdvals(matrix.double())[rank:].norm())
    error = float((matrix.double() - cut.up.double() @ cut.down.double()).norm())
    assert cut.error == pytest.approx(error, rel=1e-4)
    assert error <= LEAST * least
    assert cut.cut(1000) is cut


def test_a_failed_certificate_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = torch.randn(320, 320, generator=torch.Generator().manual_seed(4))
    krylov = kp_lowrank.kp_krylov

    def slanted(*args: Any) -> Any:
        directions, images, best = krylov_largest(*args)
        return directions + 0.01, images, best

    krylov_largest = krylov.largest
    monkeypatch.setattr(krylov, "largest", slanted)
    assert kp_lowrank.truncate(matrix, 16).method == "gram"
    monkeypatch.setattr(torch.linalg, "eigh", lambda m: (m.diagonal(), m + 0.1))
    assert kp_lowrank.truncate(matrix, 16).method == "svd"
    monkeypatch.setattr(torch.linalg, "svd", lambda m, **_: (m, m.diagonal(), m + 0.1))
    with pytest.raises(kp_lowrank.NotCertifiedError):
        kp_lowrank.truncate(matrix, 16)


def test_more_steps_bring_the_parts_themselves() -> None:
    values = torch.arange(1, 321).double() ** -0.8
    values[16:] *= 0.9
    matrix = with_values(values, (320, 320))
    found = kp_lowrank.truncate(matrix, 16, more=3)
    left, exact, right = torch.linalg.svd(matrix.double())
    wanted = (left[:, :16] * exact[:16]) @ right[:16]
    assert float((found.up @ found.down - wanted).norm() / wanted.norm()) < 1e-5
    assert torch.allclose(found.values.double(), exact[:16], rtol=1e-5)
