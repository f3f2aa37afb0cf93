"""Whose file it is, if it is not for sd-scripts."""

from __future__ import annotations

from typing import Any

import pytest

from kohya_presets.files import other_tools
from kohya_presets.toml import source

GUI = """\
[settings]
use_shell = false
[folders]
output_dir = "o"
[basic]
lr_warmup = 0
max_resolution = "512,512"
"""
ANIMA = """\
[model]
transformer_path = "t"
vae_path = "v"
[dataset]
data_dir = "d"
[training]
epochs = 10
"""
TEMPLATE = """\
[metadata]
name = "Medium"
version = "0.0.1"
author = "A"
[data]
resolution = "768,768"
"""


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        (GUI, "is the Kohya GUI's own config.toml"),
        ('[model]\nmodels_dir = "m"\n[sdxl]\nsdxl_no_half_vae = true\n', "is the Kohya GUI's own"),
        (ANIMA, "is for the fork FHfanshu/sd-scripts-anima;"),
        ('anima_transformer = "t"\nqwen = "q"\n', "is for the fork FHfanshu/sd-scripts-anima;"),
        (TEMPLATE, "is a template for the web page of lora-scripts"),
    ],
)
def test_one_cause_says_it_all(text: str, is_: str) -> None:
    why, hint = other_tools.fault(source.parse(text).values) or ("", "")
    assert why.startswith(is_)
    assert hint


@pytest.mark.parametrize(
    "values",
    [
        {"basic": {"lr_warmup": 10, "learning_rate": 1e-5}},  # one slip in a config for sd-scripts
        {"model": {"pretrained_model_name_or_path": "m"}, "advanced": {"clip_skip": 1}},
        {"metadata": {"metadata_title": "t"}, "data": {"train_data_dir": "d"}},
        {"model_train_type": "flux-lora", "ae": "a"},  # lora-scripts hands it to sd-scripts
    ],
)
def test_what_sd_scripts_can_read_is_its_own(values: dict[str, Any]) -> None:
    assert other_tools.fault(values) is None
