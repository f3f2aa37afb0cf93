"""Distances of weights, and the table that is made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")

from bench.quality import kp_distance, table  # noqa: E402

UNET = "model.diffusion_model.a"
TEXT_1, TEXT_2 = "conditioner.embedders.0.b", "conditioner.embedders.1.c"


def tensors(unet: list[float], one: float, two: float) -> dict[str, torch.Tensor]:
    made = {UNET: unet, TEXT_1: [one], TEXT_2: [two]}
    return {name: torch.tensor(values) for name, values in made.items()}


BEGIN = tensors([1.0, 2.0], 5.0, 7.0)
REFERENCE = tensors([4.0, 2.0], 9.0, 19.0)  # moved by 3, 4 and 12: by 13 in all


def test_the_reference_is_no_distance_from_itself() -> None:
    found = kp_distance.judged(BEGIN, REFERENCE, REFERENCE)["all"]
    assert found == {"moved": 13.0, "distance": 0.0, "along": 1.0, "still": 0.25}


def test_what_never_moved_is_as_far_away_as_the_reference_moved() -> None:
    found = kp_distance.judged(BEGIN, REFERENCE, BEGIN)["all"]
    assert found == {"moved": 0.0, "distance": 1.0, "along": 0.0, "still": 1.0}


def test_parts_are_told_apart_and_a_move_aside_is_no_way_along() -> None:
    found = kp_distance.judged(BEGIN, REFERENCE, tensors([1.0, 5.0], 9.0, 19.0))
    assert found["text encoder 1"]["distance"] == 0
    assert found["U-Net"]["along"] == 0
    assert found["U-Net"]["distance"] == pytest.approx(2**0.5)
    assert found["all"]["along"] == pytest.approx(160 / 169)


def test_the_table_says_how_much_of_the_gain_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"all": {"moved": 1.0, "distance": 0.5, "along": 0.75, "still": 0.25}}
    models = {
        "kahan": own | {"losses": [0.85, 0.95]},
        "fp32": own | {"losses": [0.8, 0.9]},
        "chance": own | {"losses": [0.8, 1.0]},
    }
    told = {
        "parameters": {"U-Net": 1_500_000, "text encoder 1": 1_000_000},
        "begin": {"losses": [1.0, 1.1]},
        "groups": [{"name": "AdamW 1e-6 seed 1", "models": models}],
    }
    (tmp_path / "judged.json").write_text(json.dumps(told), "utf-8")
    monkeypatch.setattr("sys.argv", ["table", str(tmp_path)])
    table.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path}: 2.5 million weights; loss before: 1.05000"
    assert lines[-4:-1] == [
        "| fp32 | 0.85000 | 100.0 ± 0.0 % | 50.0 % | 75.0 % | 25.0 % |",
        "| bf16, stochastic rounding | 0.90000 | 75.0 ± 25.0 % | 50.0 % | 75.0 % | 25.0 % |",
        "| bf16, Kahan summation | 0.90000 | 75.0 ± 0.0 % | 50.0 % | 75.0 % | 25.0 % |",
    ]
