"""The decomposition of a product of two thin matrices equals that of the product."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.fast_lora import kp_factors  # noqa: E402

CASES = ((256, 256, 64, 8), (256, 512, 160, 16), (512, 256, 160, 4), (128, 256, 200, 16))


def factors(m: int, n: int, inner: int, rank: int) -> tuple[Any, Any]:
    dice = torch.Generator().manual_seed(m + n)
    falling = torch.arange(1, inner + 1) ** -0.8
    falling[rank:] *= 0.8  # a gap: else which parts are the first ones is a matter of rounding
    up = torch.linalg.qr(torch.randn(m, m, generator=dice)).Q
    up = torch.cat([up, up], dim=1)[:, :inner] * falling
    return up, torch.randn(inner, n, generator=dice) / math.sqrt(n)


def as_is(up: Any, down: Any) -> tuple[Any, Any]:
    return up, down


def duplicated(up: Any, down: Any) -> tuple[Any, Any]:
    up, down = up.clone(), down.clone()
    up[:, 1], down[3] = up[:, 0], down[2]
    return up, down


def half_zero(up: Any, down: Any) -> tuple[Any, Any]:
    up = up.clone()
    up[:, up.shape[1] // 2 :] = 0
    return up, down


def ill_conditioned(up: Any, down: Any) -> tuple[Any, Any]:
    return up * torch.logspace(0, -6, up.shape[1]), down


def tiny(up: Any, down: Any) -> tuple[Any, Any]:
    return up * 1e-12, down * 1e-9


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("change", [as_is, duplicated, half_zero, ill_conditioned, tiny])
@pytest.mark.parametrize("first_only", [True, False])
def test_it_is_that_of_the_product(case: tuple[int, ...], change: Any, first_only: bool) -> None:
    up, down = change(*factors(*case))
    rank = case[3]
    found = kp_factors.decompose(up, down, rank if first_only else None)
    left, values, right = torch.linalg.svd(up.double() @ down.double(), full_matrices=False)
    size = float(values.norm())
    count = len(found.values)
    assert count == (rank if first_only else min(case[:3]))
    assert float((found.values - values[:count]).abs().max()) < 2e-6 * size
    product = (found.left[:, :rank] * found.values[:rank]).double() @ found.right[:rank].double()
    gap = float(values[rank - 1] - values[rank]) / size
    if gap > 1e-3:
        wanted = (left[:, :rank] * values[:rank]) @ right[:rank]
        assert float((product - wanted).norm()) < 1e-5 * size
    else:  # which of those alike is taken is open; how near it comes is not
        least = float(values[rank:].norm())
        error = float((up.double() @ down.double() - product).norm())
        assert error <= least + 1e-5 * size


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="as many columns of up as rows of down"):
        kp_factors.decompose(torch.ones(4, 3), torch.ones(2, 4))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("rank", [2, 128])  # 128: the Gram matrix in pieces
def test_what_is_not_finite(bad: float, which: int, rank: int) -> None:
    factors = [torch.randn(256, rank), torch.randn(rank, 192)]
    factors[which][1, 1] = bad  # one of them all
    with pytest.raises(ValueError, match="finite"):
        kp_factors.decompose(*factors)


def test_numbers_whose_squares_leave_fp32_are_finite() -> None:
    up, down = torch.randn(64, 8) * 1e25, torch.randn(8, 32) * 1e-25
    found = kp_factors.decompose(up, down)
    product = (found.left * found.values) @ found.right
    torch.testing.assert_close(product, up @ down, rtol=1e-4, atol=1e-4)


def test_zero_has_zero_values() -> None:
    found = kp_factors.decompose(torch.zeros(64, 8), torch.ones(8, 32), 4)
    assert not found.values.any()
    assert found.left.isfinite().all()
    assert found.right.isfinite().all()
