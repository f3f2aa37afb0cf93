"""What is wrong with a LoRA is said by name, before anything of it is resized."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.fast_lora import kp_resize  # noqa: E402

DOWN, UP = "lora_unet_x.lora_down.weight", "lora_unet_x.lora_up.weight"


@pytest.mark.parametrize(
    ("down", "up", "said"),
    [
        ((4, 8), (6, 3), rf"{DOWN} is \(4, 8\), .* \(6, 3\); their ranks differ"),
        ((4, 8, 3, 3), (6, 3, 1, 1), "their ranks differ"),
    ],
)
def test_factors_that_do_not_fit(down: tuple[int, ...], up: tuple[int, ...], said: str) -> None:
    tensors = {DOWN: torch.ones(down), UP: torch.ones(up)}
    load = kp_resize._checked(lambda *_: (tensors, {}))
    with pytest.raises(SystemExit, match=f"nothing was resized: .*{said}"):
        load("a.safetensors", torch.float32)


def test_numbers_that_are_none() -> None:
    tensors = {DOWN: torch.ones(4, 8), UP: torch.full((6, 4), float("inf"))}
    load = kp_resize._checked(lambda *_: (tensors, {}))
    with pytest.raises(SystemExit, match=f"nothing was resized: {UP} holds inf or nan"):
        load("a.safetensors", torch.float32)


def test_a_lora_that_fits_is_what_the_script_loaded() -> None:
    found: dict[str, Any] = {DOWN: torch.ones(4, 8), UP: torch.ones(6, 4), "alpha": 4}
    assert kp_resize._checked(lambda *_: (found, {"a": "b"}))("a", None) == (found, {"a": "b"})
