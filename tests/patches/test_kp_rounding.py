"""Rounding by chance is unbiased, and leaves alone what is not finite."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.adacoor import kp_adacoor_step  # noqa: E402
from patches.fused_step import kp_rounding  # noqa: E402

pytestmark = pytest.mark.trainer
COUNT = 10**7 // 8
# Exponents of the smallest number of a magnitude; the first is of denormals alone.
MAGNITUDES = (-149, -126, -60, -20, -7, 0, 40, 127)


def by_ours(x: Any) -> Any:
    return kp_rounding.round_(x.clone(), torch.Generator().manual_seed(7))


def by_adacoor(x: Any) -> Any:
    torch.manual_seed(7)
    into = torch.empty_like(x, dtype=torch.bfloat16)
    kp_adacoor_step.by_chance([x.clone()], [into])
    return into.float()


BOTH = pytest.mark.parametrize("rounded", [by_ours, by_adacoor])


def of_bits(*bits: int) -> Any:
    """Return the fp32 numbers of these bits."""
    signed = [b - 2**32 if b >= 2**31 else b for b in bits]
    return torch.tensor(signed, dtype=torch.int32).view(torch.float32)


def drawn(exponent: int) -> Any:
    """Return numbers of both signs, all over a magnitude, that are not above the largest bf16."""
    low, high = (1, 2**23) if exponent == -149 else ((exponent + 127) << 23, (exponent + 128) << 23)
    high = min(high, kp_rounding.LARGEST + 1)
    draw = torch.Generator().manual_seed(exponent + 200)
    bits = torch.randint(low, high, (COUNT,), generator=draw, dtype=torch.int32)
    sign = torch.randint(0, 2, (COUNT,), generator=draw, dtype=torch.int32) * -(2**31)
    return (bits | sign.to(torch.int32)).view(torch.float32)


@pytest.mark.parametrize("exponent", MAGNITUDES)
def test_it_is_unbiased_within_four_standard_errors(exponent: int) -> None:
    x = drawn(exponent)
    ulp = 2.0 ** (max(exponent, -126) - 7)
    found = by_ours(x)
    assert torch.equal(found.bfloat16().float(), found)  # bfloat16 has them
    off = (found.double() - x.double()) / ulp
    assert float(off.abs().max()) < 1
    up = (x.double() / ulp) % 1  # how likely it is rounded up, towards larger numbers
    error = float((up * (1 - up)).sum()) ** 0.5
    assert abs(float(off.sum())) < 4 * error
    away = off * x.sign().double()  # from 0
    assert abs(float(away.sum())) < 4 * error


@BOTH
def test_what_is_not_finite_stays_what_it_is_and_what_is_finite_stays_finite(rounded: Any) -> None:
    nans = of_bits(0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF800001, 0x7FC00000, 0x7F80FFFF)
    assert rounded(nans).isnan().all()
    infinite = torch.tensor([math.inf, -math.inf])
    assert torch.equal(rounded(infinite), infinite)
    largest = of_bits(0x7F7FFFFF, 0xFF7FFFFF, 0x7F7F0000, 0xFF7F0001)
    top = float(torch.finfo(torch.bfloat16).max)
    assert rounded(largest).tolist() == [top, -top, top, -top]
    # From just below, the largest is reached, and never left behind.
    below = of_bits(0x7F7E8000).expand(1000).contiguous()
    assert set(rounded(below).tolist()) == {top, float(of_bits(0x7F7E0000))}


@BOTH
def test_numbers_that_bfloat16_has_are_kept(rounded: Any) -> None:
    every = torch.arange(2**16, dtype=torch.int32).mul_(2**16).view(torch.float32)
    finite = every[every.isfinite()]
    found = rounded(finite)
    assert torch.equal(found.view(torch.int32), finite.view(torch.int32))  # -0 as well


def test_the_smallest_number_becomes_0_or_the_smallest_that_bfloat16_has() -> None:
    smallest = of_bits(0x0000_4000).expand(10**5).contiguous()  # a quarter of that
    found = by_ours(smallest)
    up = float(of_bits(0x0001_0000))
    assert set(found.tolist()) == {0.0, up}
    assert abs(float((found == up).double().mean()) - 0.25) < 4 * (0.1875 / 10**5) ** 0.5


def test_small_steps_move_bfloat16_as_far_as_fp32_on_average() -> None:
    draw = torch.Generator().manual_seed(0)
    begin = (torch.randn(20_000, generator=draw) * 0.05).bfloat16()
    weights, nearest, exact = begin.clone(), begin.clone(), begin.float()
    rounding = kp_rounding.Rounding(3)
    for step in range(2000):
        rounding.begin(step, 0, weights.device)
        rounding.store([weights.float() + 1e-6], [weights])
        nearest.copy_(nearest.float() + 1e-6)
        exact += 1e-6
    moved = weights.double() - begin.double()
    error = float(moved.std()) / len(moved) ** 0.5
    expected = float((exact.double() - begin.double()).mean())
    assert expected == pytest.approx(2e-3, rel=1e-3)
    assert abs(float(moved.mean()) - expected) < 4 * error
    assert error < 0.02 * expected
    assert float((nearest.double() - begin.double()).mean()) < 0.2 * expected


def test_what_is_drawn_depends_on_seed_step_and_tensor_only() -> None:
    exact = torch.linspace(0.1, 0.2, 1000)

    def made(seed: int, step: int, number: int, before: int = 0) -> Any:
        rounding = kp_rounding.Rounding(seed)
        for other in range(before):
            rounding.begin(step, other, exact.device)
            rounding.store([exact.clone()], [torch.empty(1000, dtype=torch.bfloat16)])
        into = torch.empty(1000, dtype=torch.bfloat16)
        rounding.begin(step, number, exact.device)
        rounding.store([exact.clone()], [into])
        return into.tolist()

    torch.manual_seed(0)
    own = torch.get_rng_state()
    first = made(1, 2, 3)
    assert made(1, 2, 3, before=2) == first
    assert all(made(*other) != first for other in ((0, 2, 3), (1, 1, 3), (1, 2, 4)))
    assert torch.equal(torch.get_rng_state(), own)  # the trainer's own are left alone


def test_one_number_that_is_not_finite_changes_nothing_for_the_others() -> None:
    x = torch.linspace(-3, 3, 1001)
    spoiled = torch.cat([x, torch.tensor([math.nan])])
    assert torch.equal(by_ours(x), by_ours(spoiled)[:-1])
    assert by_ours(torch.empty(0)).tolist() == []
    turned = torch.linspace(-3, 3, 1000).view(20, 50).t()
    assert torch.equal(by_ours(turned).bfloat16().float(), by_ours(turned))


def test_only_bfloat16_is_rounded_by_chance() -> None:
    rounding, exact = kp_rounding.Rounding(0), torch.full((1000,), 1.001)
    half, same = torch.empty(1000, dtype=torch.float16), exact.clone()
    rounding.begin(0, 0, exact.device)
    rounding.store([exact.clone(), same], [half, same])
    assert torch.equal(half, exact.half())
    assert torch.equal(same, exact)


@pytest.mark.parametrize("exponent", [-149, -126, -7, 40])
def test_noise_of_one_row_is_unbiased_for_all_rows_in_each_and_across(exponent: int) -> None:
    """What is drawn for a row is used again for the others of a tensor, otherwise."""
    rounding, row = kp_rounding.Rounding(11), kp_rounding.ROW
    x = drawn(exponent)[: 70 * row + 9]
    ulp = 2.0 ** (max(exponent, -126) - 7)
    up = (x.double() / ulp) % 1
    for step in range(2):
        into = [torch.empty(part.shape, dtype=torch.bfloat16) for part in x.split(4 * row)]
        rounding.begin(step, 0, x.device)
        for part, target in zip(x.split(4 * row), into, strict=True):
            rounding.store([part.clone()], [target])
        off = (torch.cat(into).double() - x.double()) / ulp
        assert float(off.abs().max()) < 1
        whole = (off / (up * (1 - up)).mean().sqrt())[: 70 * row].view(70, row)
        assert abs(float(whole.sum())) < 4 * whole.numel() ** 0.5
        # The sums of rows, and of columns, are spread as those of independent numbers.
        for dim, others in ((1, 70), (0, row)):
            sums = whole.sum(dim) / whole.shape[dim] ** 0.5
            assert abs(float(sums.mean())) < 4 / others**0.5
            assert abs(float(sums.square().mean()) - 1) < 4 * (2 / others) ** 0.5
