"""The guide's detour: extracting at a high rank and resizing is extracting at the low rank."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from wrapper.ranks import measure

HIGH, LOW = 64, 8


@pytest.fixture
def detour(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
    monkeypatch.syspath_prepend(str(measure.SCRIPT.parent))  # as it is for a script
    return importlib.import_module("kp_detour")


def change(decay: float, shape: tuple[int, int] = (160, 128), scale: float = 1.0) -> Any:
    """Return a matrix with the singular values n ** -decay, times `scale`."""
    import torch

    torch.manual_seed(0)
    side = min(shape)
    left, right = (torch.linalg.qr(torch.randn(size, side))[0] for size in shape)
    values = scale * torch.arange(1, side + 1) ** -decay
    return left * values @ right.T


@pytest.mark.parametrize("decay", [0.3, 1.0])
@pytest.mark.parametrize("shape", [(160, 128), (128, 160), (96, 96)])
def test_both_ways_are_the_same_in_exact_arithmetic(
    decay: float, shape: tuple[int, int], detour: Any
) -> None:
    found = detour.check(change(decay, shape), HIGH, LOW)
    values = [n ** (-2 * decay) for n in range(1, min(shape) + 1)]
    best = (sum(values[LOW:]) / sum(values)) ** 0.5
    assert found["direct"] == pytest.approx(best, rel=1e-3)
    assert found["through"] == pytest.approx(best, rel=1e-4)
    assert found["apart"] <= 1e-3


def test_of_noise_too_whose_parts_are_hard_to_tell_apart(detour: Any) -> None:
    import torch

    torch.manual_seed(0)
    found = detour.check(torch.randn(200, 160), HIGH, LOW)
    assert found["through"] == pytest.approx(found["direct"], rel=1e-5)
    assert found["apart"] <= 1e-3


@pytest.mark.parametrize("decay", [0.3, 1.0])
def test_fp16_in_between_costs_no_more_than_its_rounding(decay: float, detour: Any) -> None:
    found = detour.check(change(decay), HIGH, LOW)
    assert found["through_fp16"] == pytest.approx(found["direct_fp16"], rel=1e-3)
    assert found["apart_fp16"] <= 2e-3


def test_clamping_is_what_tells_them_apart(detour: Any) -> None:
    found = detour.check(change(1.0, scale=100.0), HIGH, LOW)
    assert found["direct_clamped"] > 1.05 * found["direct"]
    assert found["through_clamped"] > 1.05 * found["through"]
    assert found["apart_clamped"] > 100 * found["apart_fp16"]
