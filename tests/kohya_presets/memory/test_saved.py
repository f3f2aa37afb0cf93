"""What a saved state takes on disk, in closed form for the optimizers whose state is simple."""

from __future__ import annotations

from typing import Any

import pytest

from kohya_presets.memory import saved
from kohya_presets.training.settings import Settings
from tests.sheets import ADDITIONS

UNET, TEXT1, TEXT2 = 2_567_463_684, 123_060_480, 694_659_840  # weights of SDXL
LAST = 7_087_872 + 1_536  # of text encoder 1, frozen: its last layer and norm
WHOLE, TRAINED = UNET + TEXT1 + TEXT2, UNET + TEXT1 - LAST + TEXT2
ALL = {"train_text_encoder": True, "mixed_precision": "fp16"}


def size(script: str = "sdxl_train.py", **train: Any) -> int | None:
    tables = {"train": train, "dataset": {}}
    found = Settings(tables, script=script, patches=("ema", "adacoor"), additions=ADDITIONS)
    bytes_ = saved.state_bytes(found)
    return None if bytes_ is None else bytes_ - saved.REST


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"optimizer_type": "AdamW"}, 4 * WHOLE + 8 * TRAINED),
        ({"optimizer_type": "AdaCoor"}, 4 * WHOLE + 2 * TRAINED),
        ({"optimizer_type": "Lion", "full_fp16": True}, 2 * WHOLE + 2 * TRAINED),
        ({"optimizer_type": "AdamW", "train_text_encoder": False}, 12 * UNET),
        ({"optimizer_type": "SGDNesterov", "enable_ema": True}, 4 * WHOLE + 8 * TRAINED),
        (
            {"optimizer_type": "Lion", "enable_ema": True, "ema_device": "cpu"},
            4 * WHOLE + 8 * TRAINED,
        ),
    ],
)
def test_a_model_has_its_weights_its_optimizer_and_its_average(
    options: dict[str, Any], expected: int
) -> None:
    assert size(**{**ALL, **options}) == pytest.approx(expected, rel=1e-6)


def test_eight_bits_are_two_bytes_and_a_little_for_each_weight() -> None:
    found = size(**ALL, optimizer_type="AdamW8bit")
    assert found == pytest.approx(4 * WHOLE + 2.03 * TRAINED, rel=0.001)


LORA = {"network_module": "networks.lora", "network_dim": 16, "optimizer_type": "AdamW"}
LINEAR = 2_659_840 + 165_888 + 737_280  # for each rank
BLOCKS = LINEAR + 58_560  # with the residual blocks' layers of 1x1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 12 * 16 * LINEAR),
        ({"network_dim": None}, 12 * 4 * LINEAR),
        ({"network_train_unet_only": True}, 12 * 16 * 2_659_840),
        ({"network_args": ["conv_dim=8", "conv_alpha=1"]}, 12 * (16 * BLOCKS + 8 * 355_840)),
        ({"full_bf16": True}, 6 * 16 * LINEAR),
        ({"optimizer_type": "Adafactor"}, (4 * 16 + 4) * LINEAR),
        (
            {"optimizer_type": "Adafactor", "optimizer_args": ["beta1=0.9"]},
            (8 * 16 + 4) * LINEAR,
        ),
    ],
)
def test_a_lora_alone_is_in_its_states(options: dict[str, Any], expected: int) -> None:
    given = {
        k: v for k, v in {**LORA, "mixed_precision": "bf16", **options}.items() if v is not None
    }
    assert size("sdxl_train_network.py", **given) == pytest.approx(expected, rel=1e-6)


def test_what_is_not_known_is_not_guessed() -> None:
    assert size("flux_train_network.py", **LORA) is None
    assert size("sdxl_train_network.py", **{**LORA, "network_module": "lycoris.kohya"}) is None
