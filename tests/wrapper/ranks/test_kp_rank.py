from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from wrapper.ranks import measure

RANKS = (1, 2, 8, 64)


@pytest.fixture
def rank(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
    monkeypatch.syspath_prepend(str(measure.SCRIPT.parent))  # as it is for a script
    return importlib.import_module("kp_rank")


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (200, 150), (150, 200)])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_what_a_rank_keeps_is_that_of_the_singular_values(
    shape: tuple[int, int], scale: float, rank: Any
) -> None:
    import torch

    torch.manual_seed(0)
    matrix = scale * torch.randn(shape)
    squared = np.linalg.svd(matrix.double().numpy(), compute_uv=False) ** 2
    norm, kept = rank.retained(matrix, RANKS)
    assert norm == pytest.approx(squared.sum() ** 0.5, rel=1e-5)
    assert kept == pytest.approx([squared[:r].sum() / squared.sum() for r in RANKS], abs=1e-5)


def test_a_low_rank_is_kept_whole(rank: Any) -> None:
    import torch

    torch.manual_seed(0)
    _, kept = rank.retained(torch.randn(40, 2) @ torch.randn(2, 24), RANKS)
    assert kept[1] == pytest.approx(1, abs=1e-6)
    assert kept[0] < 1


def test_no_change_is_kept_whole(rank: Any) -> None:
    import torch

    assert rank.retained(torch.zeros(5, 6), RANKS) == (0.0, [1.0] * 4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(bad: float, rank: Any) -> None:
    import torch

    matrix = torch.ones(5, 6)
    matrix[2, 3] = bad
    with pytest.raises(ValueError, match="inf or nan"):
        rank.retained(matrix, RANKS)
