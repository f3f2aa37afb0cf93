"""Files in sd-scripts' own words: JSON that no GUI saved, numbers in quotes, paths of a machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.gui import read
from kohya_presets.gui.imported import Imported
from kohya_presets.gui.toml_read import toml_file
from kohya_presets.toml import text as toml_text
from tests.sheets import ADDITIONS

HAND_WRITTEN = {
    "network_module": "networks.lora",
    "network_dim": 128,
    "resolution": "1024,1024",
    "optimizer_type": "Prodigy",
    "unet_lr": 1.0,
    "text_encoder_lr": 1.0,
    "max_train_epochs": 10,
    "enable_bucket": True,
}


def from_json(values: dict[str, Any]) -> Imported:
    return read.json_file(json.dumps(values).encode(), "x", ADDITIONS)


def from_toml(values: dict[str, Any], folder: Path) -> Imported:
    (folder / "c.toml").write_text(toml_text.table(values), "utf-8")
    return toml_file(folder / "c.toml", "x", ADDITIONS)


def why(found: Imported, key: str) -> str:
    (item,) = [i for i in found.report if i.what == key and i.kind in ("dropped", "converted")]
    return item.why


def test_json_in_the_words_of_sd_scripts_is_read_as_such() -> None:
    found = from_json(HAND_WRITTEN)
    assert "own options for sdxl_train_network.py" in found.read_as
    train = {k: v for k, v in HAND_WRITTEN.items() if k not in ("resolution", "enable_bucket")}
    assert found.usable().train == train
    assert found.preset.dataset == {"resolution": [1024, 1024], "enable_bucket": True}
    assert found.preset.releases == ">=0.7.0"


def test_json_for_flux_is_for_flux() -> None:
    values = {"_model_type": "flux", "network_module": "networks.lora_flux", "guidance_scale": 1.0}
    found = from_json({**values, "learning_rate": "2e-4", "optimizer_type": "adamw8bit"})
    assert found.usable().script == "flux_train_network.py"
    assert found.preset.train["learning_rate"] == 2e-4
    assert why(found, "learning_rate") == "'2e-4' to learning_rate = 0.0002"
    assert why(found, "_model_type") == "not an option of this script"


def test_sections_of_it_are_dropped_as_sd_scripts_drops_them() -> None:
    nested = {"network": {"network_module": "networks.lora"}, "optimizer_type": "Lion"}
    train = {"network_module": "networks.lora", "optimizer_type": "Lion"}
    assert from_json(nested).preset.train == train


@pytest.mark.parametrize(
    "values",
    [
        {"LoRA_type": "Standard", "optimizer": "Lion", "max_resolution": "1,1", "sdxl": True},
        {"sdxl": True, "network_dim": 8, "optimizer": "Lion", "enable_bucket": True},
    ],
)
def test_a_file_of_the_gui_stays_one(values: dict[str, Any]) -> None:
    assert "tab of Kohya GUI" in from_json(values).read_as


@pytest.mark.parametrize(
    ("values", "key", "kept"),
    [
        ({"text_encoder_lr": 1e-5, "network_module": "networks.lora"}, "text_encoder_lr", 1e-5),
        ({"text_encoder_lr": [1e-5, 2e-5], "network_module": "x"}, "text_encoder_lr", [1e-5, 2e-5]),
        ({"max_train_epochs": "10"}, "max_train_epochs", 10),
        ({"optimizer_args": "a=1 b=2"}, "optimizer_args", ["a=1", "b=2"]),
        ({"cache_latents": "false"}, "cache_latents", None),  # sd-scripts takes it as true
        ({"max_train_epochs": 0}, "max_train_epochs", None),
    ],
)
def test_a_value_is_kept_in_the_form_that_the_release_takes(
    values: dict[str, Any], key: str, kept: Any, tmp_path: Path
) -> None:
    found = from_toml({"seed": 1, **values}, tmp_path)
    assert found.preset.train.get(key) == kept
    assert kept == values[key] or why(found, key)


@pytest.mark.parametrize(
    ("values", "key", "says"),
    [
        ({"log_with": "tensorboard", "logging_dir": "./logs"}, "log_with", "needs logging_dir"),
        ({"log_with": "all", "logging_dir": "/logs"}, "log_with", "needs logging_dir"),
        (
            {"sample_every_n_epochs": 1, "sample_prompts": "p.txt", "sample_sampler": "euler"},
            "sample_sampler",
            "has no effect without sample_every_n_epochs",
        ),
        (
            {"sample_every_n_epochs": 1, "sample_prompts": "p.txt"},
            "sample_every_n_epochs",
            "needs sample_prompts: give both for each run",
        ),
        ({"sample_at_first": True, "sample_prompts": "p"}, "sample_at_first", "sample_prompts"),
        ({"resume": "/a/state"}, "resume", "one machine"),
        ({"tokenizer_cache_dir": "tokens"}, "tokenizer_cache_dir", "one machine"),
        ({"optimizer_type": "~/mine/optimizer.py"}, "optimizer_type", "one machine"),
        ({"log_prefix": "C:\\Users\\me\\logs"}, "log_prefix", "one machine"),
        ({"log_prefix": "\\\\server\\share"}, "log_prefix", "one machine"),
        ({"reg_data_dir": "/data/reg"}, "reg_data_dir", "no regularization images"),
        ({"reg_data_dir": "r", "dataset_config": "d"}, "reg_data_dir", "sd-scripts ignores it"),
        ({"in_json": "/m.json"}, "in_json", "not from a metadata file"),
    ],
)
def test_what_cannot_stay_without_a_path_goes_and_is_said(
    values: dict[str, Any], key: str, says: str, tmp_path: Path
) -> None:
    found = from_toml({"seed": 1, **values}, tmp_path)
    assert says in why(found, key)
    assert found.preset.train == {"seed": 1}


def test_log_with_wandb_needs_no_folder(tmp_path: Path) -> None:
    assert from_toml({"log_with": "wandb"}, tmp_path).preset.train == {"log_with": "wandb"}


def test_words_with_a_path_go_and_the_others_stay(tmp_path: Path) -> None:
    args = ["algo=locon", "preset=D:/my/preset.toml", "down_lr_weight=0,1"]
    values = {"network_module": "lycoris.kohya", "network_args": args}
    found = from_toml(values, tmp_path)
    assert found.preset.train["network_args"] == ["algo=locon", "down_lr_weight=0,1"]
    assert "one machine" in why(found, "network_args preset=D:/my/preset.toml")
    quoted = from_toml({"optimizer_args": "weight_decay=0.1 state=/a/b"}, tmp_path)
    assert quoted.preset.train == {"optimizer_args": ["weight_decay=0.1"]}
    only = {"network_module": "networks.lora", "base_weights": ["/a/b.safetensors"]}
    found = from_toml({**only, "network_args": ["preset=/a/b.toml"]}, tmp_path)
    assert found.preset.train == {"network_module": "networks.lora"}
    assert "one machine" in why(found, "base_weights")
    gui = {"sdxl": True, "LoRA_type": "LyCORIS/LoHa", "LyCORIS_preset": "/my/p.toml"}
    saved = from_json({**gui, "network_dim": 4, "log_with": "tensorboard", "logging_dir": "/l"})
    assert "/my" not in str(saved.preset.tables)
    assert "one machine" in why(saved, "network_args preset=/my/p.toml")
    assert "log_with" not in saved.preset.train
    words = "--base_weights C:/x.safetensors --lowram"
    free = from_json({"sdxl": True, "network_dim": 4, "additional_parameters": words})
    assert free.preset.train["lowram"] is True
    assert "base_weights" not in free.preset.train
    assert "one machine" in why(free, "additional_parameters --base_weights")


@pytest.mark.parametrize("separator", ["/", ".", "||", ","])
def test_a_separator_is_no_path(separator: str, tmp_path: Path) -> None:
    found = from_toml({"caption_separator": separator}, tmp_path)
    assert found.preset.dataset == {"caption_separator": separator}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('conditioning_data_dir = "masks"', "belongs to one machine"),
        ('metadata_file = "m.json"', "not from a metadata file"),
        ('class_tokens = "/home/me/x"', "belongs to one machine"),
    ],
)
def test_no_path_of_a_subset_stays(line: str, says: str, tmp_path: Path) -> None:
    text = f"[[datasets]]\nresolution = 64\n[[datasets.subsets]]\nimage_dir = 'd'\n{line}\n"
    (tmp_path / "d.toml").write_text(text, "utf-8")
    found = toml_file(tmp_path / "d.toml", "x", ADDITIONS)
    assert found.preset.dataset == {"resolution": 64}
    assert says in why(found, line.partition(" ")[0])
