"""What is trained: one answer for rules, memory and runs, as sd-scripts decides it."""

from __future__ import annotations

from typing import Any

import pytest

from kohya_presets.memory.parts import Parts
from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import PARTS, Training

UNET, TEXT1, TEXT2 = PARTS


def training(script: str = "sdxl_train.py", release: str = "v0.10.1", **train: Any) -> Training:
    return Settings({"train": train}, script, release).training


@pytest.mark.parametrize(
    ("train", "rates"),
    [
        ({"learning_rate": 1e-6}, {UNET: 1e-6}),
        (
            {"learning_rate": 1e-6, "train_text_encoder": True},
            {UNET: 1e-6, TEXT1: 1e-6, TEXT2: 1e-6},
        ),
        (
            {"learning_rate": 0.0, "learning_rate_te1": 1e-6, "train_text_encoder": True},
            {TEXT1: 1e-6},
        ),
        (
            {"learning_rate": 1e-6, "learning_rate_te2": 0.0, "train_text_encoder": True},
            {UNET: 1e-6, TEXT1: 1e-6},
        ),
        ({"learning_rate": 1e-6, "learning_rate_te1": 1e-6}, {UNET: 1e-6}),
    ],
)
def test_a_part_without_a_rate_has_the_unets_and_0_is_not_trained(
    train: dict[str, Any], rates: dict[str, float]
) -> None:
    assert training(**train).rates == rates


def test_memory_counts_the_parts_that_the_rules_speak_of() -> None:
    train = {"learning_rate": 0.0, "learning_rate_te1": 1e-6, "train_text_encoder": True}
    settings = Settings({"train": train})
    assert Parts(settings).trained == (TEXT1,)
    assert settings.training.text_encoders == (True, False)


def test_the_oldest_release_knows_no_rates_of_text_encoders() -> None:
    found = training(release="v0.7.0", learning_rate=1e-6, train_text_encoder=True)
    assert found.parts == PARTS


@pytest.mark.parametrize(
    ("script", "train", "rates"),
    [
        ("sdxl_train_network.py", {}, {UNET: 1e-4, TEXT1: 1e-4, TEXT2: 1e-4}),
        ("train_network.py", {}, {UNET: 1e-4, TEXT1: 1e-4}),
        ("sdxl_train_network.py", {"network_train_unet_only": True}, {UNET: 1e-4}),
        (
            "sdxl_train_network.py",
            {"network_train_text_encoder_only": True, "text_encoder_lr": [1e-5]},
            {TEXT1: 1e-5, TEXT2: 1e-5},
        ),
        (
            "sdxl_train_network.py",
            {"unet_lr": 2e-4, "text_encoder_lr": [1e-5, 2e-5]},
            {UNET: 2e-4, TEXT1: 1e-5, TEXT2: 2e-5},
        ),
    ],
)
def test_a_lora_has_rates_of_its_own(
    script: str, train: dict[str, Any], rates: dict[str, float]
) -> None:
    assert training(script, learning_rate=1e-4, **train).rates == rates


@pytest.mark.parametrize(
    ("train", "name", "shown"),
    [
        ({}, "adamw", "AdamW"),
        ({"optimizer_type": "pagedadamw8bit"}, "pagedadamw8bit", "PagedAdamW8bit"),
        ({"use_8bit_adam": True}, "adamw8bit", "AdamW8bit"),
        ({"use_lion_optimizer": True}, "lion", "Lion"),
        ({"optimizer_type": "lib.CAME"}, "lib.came", "lib.CAME"),
    ],
)
def test_the_optimizer_is_the_one_that_sd_scripts_takes(
    train: dict[str, Any], name: str, shown: str
) -> None:
    found = training(**train)
    assert (found.optimizer, found.optimizer_name) == (name, shown)


def test_arguments_are_read_as_python_and_malformed_ones_left_out() -> None:
    args = ["betas=(0.9, 0.99)", "name='x'", "a=b=c", "relative_step=False"]
    found = training(optimizer_type="Adafactor", optimizer_args=args)
    assert found.optimizer_args == {"betas": (0.9, 0.99), "name": "x", "relative_step": False}
    assert found.schedule == "constant"
    assert training(optimizer_type="Adafactor", lr_scheduler="cosine").schedule == "adafactor"
