"""The script of a training config is told by what the config says."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from kohya_presets.sdscripts import options, recognize
from kohya_presets.sdscripts.scripts import KNOWN

BASE = "pretrained_model_name_or_path"
LORA = {"network_module": "networks.lora", "network_dim": 16}


@pytest.mark.parametrize(
    ("values", "script"),
    [
        (LORA, "sdxl_train_network.py"),
        (LORA | {BASE: "runwayml/stable-diffusion-v1-5"}, "train_network.py"),
        (LORA | {BASE: r"D:\ponyV6.safetensors"}, "sdxl_train_network.py"),
        (LORA | {"v2": True}, "train_network.py"),
        (LORA | {"v2": False}, "sdxl_train_network.py"),
        (LORA | {"network_module": "networks.lora_flux"}, "flux_train_network.py"),
        (LORA | {"network_module": "networks.lora_sd3"}, "sd3_train_network.py"),
        (LORA | {"network_module": "networks.lora_anima"}, "anima_train_network.py"),
        (LORA | {"network_module": "lycoris.kohya", "t5xxl": "t"}, "flux_train_network.py"),
        (LORA | {"ae": "", "t5xxl": ""}, "sdxl_train_network.py"),
        (LORA | {"gemma2": "g", "ae": "a"}, "lumina_train_network.py"),
        (LORA | {"cache_text_encoder_outputs": True}, "sdxl_train_network.py"),
        (LORA | {"cache_text_encoder_outputs": True, "guidance_scale": 1.0},
         "flux_train_network.py"),
        ({"unet_lr": 1e-4}, "sdxl_train_network.py"),
        ({"unet_lr": 0, "text_encoder_lr": 0}, "sdxl_train.py"),
        ({"learning_rate_te1": 1e-6}, "sdxl_train.py"),
        ({"train_text_encoder": True, "text_encoder_lr": 1e-6}, "sdxl_train.py"),
        ({"train_text_encoder": False, "text_encoder_lr": 1e-6}, "sdxl_train.py"),
        ({"ae": "a", "clip_l": "c", "blockwise_fused_optimizers": True}, "flux_train.py"),
        ({"clip_g": "g", "t5xxl": "t"}, "sd3_train.py"),
        ({"v2": True, "no_token_padding": True}, "train_db.py"),
        ({"v2": True, "in_json": "m.json", "train_text_encoder": True}, "fine_tune.py"),
        ({"token_string": "sks", "init_word": "man"}, "sdxl_train_textual_inversion.py"),
        ({"token_string": "sks", "v2": True}, "train_textual_inversion.py"),
        ({"cond_emb_dim": 32, "network_dim": 64}, "sdxl_train_control_net_lllite.py"),
        (LORA | {"model_train_type": "sd-lora"}, "train_network.py"),
        ({"model_train_type": "flux-finetune"}, "flux_train.py"),
        (LORA | {"model_train_type": "other"}, "sdxl_train_network.py"),
        (LORA | {"model_train_type": ["sd-lora"]}, "sdxl_train_network.py"),
        ({}, "sdxl_train.py"),
    ],
)  # fmt: skip
def test_options_tell_the_script(values: dict[str, Any], script: str) -> None:
    assert recognize.script(values).script == script


def test_a_path_a_size_and_a_comment_tell_where_options_do_not() -> None:
    def of(**told: Any) -> str:
        return recognize.script(LORA, **told).script

    assert of(path=PurePath("/x/FLUX/config.toml")) == "flux_train_network.py"
    assert of(resolution=512) == "train_network.py"
    assert of(resolution=1024) == "sdxl_train_network.py"
    off = LORA | {"cache_text_encoder_outputs": False}  # other tools write it for every model
    assert recognize.script(off, resolution=512).script == "train_network.py"
    assert of(comments=["# accelerate launch train_network.py --config"]) == "train_network.py"
    # Of two scripts none is meant, and what it has weighs more than a comment.
    assert of(comments=["# sdxl_train.py or train_network.py"]) == "sdxl_train_network.py"
    assert of(comments=["# as in sdxl_train.py"]) == "sdxl_train_network.py"


def test_it_says_what_told_it() -> None:
    assert recognize.script({}).because == ()
    because = recognize.script(
        LORA | {"pretrained_model_name_or_path": "a/juggernautXL.st"}
    ).because
    assert because == ("the base model is called juggernautXL.st", "it has network_module")


def test_each_script_is_one_whose_options_are_known() -> None:
    assert {*KNOWN} == {name for name in options.SCRIPTS if not name.startswith("networks/")}
