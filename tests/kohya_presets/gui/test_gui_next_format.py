"""The TOML files of the GUI's next version: known by their marks, read as that version means it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.gui.toml_read import toml_file
from tests.sheets import ADDITIONS

LORA = """\
LoRA_type = "Kohya LoCon"
architecture = "sdxl"
conv_dim = 32
dynamo_backend = "no"
learning_rate = 0.0001
lr_scheduler_power = ""
max_train_epochs = 0
max_train_steps = 800
network_args = [ "conv_dim=32",]
network_module = "networks.lora"
num_processes = 2
optimizer_args = [ "weight_decay=0.01",]
optimizer_type = "Prodigy"
resolution = "1024,1024"
seed = ""
text_encoder_lr = [ 1.0, 1.0,]
train_batch_size = 8
"""


def written(text: str, folder: Path) -> Path:
    (folder / "saved.toml").write_text(text, "utf-8")
    return folder / "saved.toml"


def test_a_file_of_the_next_version_is_read_as_its_run_config(tmp_path: Path) -> None:
    found = toml_file(written(LORA, tmp_path), "x", ADDITIONS)
    assert "next version for sdxl_train_network.py" in found.read_as
    assert found.usable().train == {
        "learning_rate": 0.0001,
        "max_train_steps": 800,
        "network_args": ["conv_dim=32"],
        "network_module": "networks.lora",
        "optimizer_args": ["weight_decay=0.01"],
        "optimizer_type": "Prodigy",
        "text_encoder_lr": [1.0, 1.0],
    }
    assert found.preset.dataset == {"resolution": [1024, 1024], "batch_size": 8}
    told = {item.what: item.kind for item in found.report}
    assert told["architecture"] == "converted"
    assert (told["seed"], told["max_train_epochs"]) == ("default", "default")
    assert (told["conv_dim"], told["num_processes"]) == ("dropped", "converted")
    assert found.preset.run == {"gpus": 2}


@pytest.mark.parametrize(
    ("marks", "script"),
    [
        ('architecture = "sdxl"\ntraining_type = "finetune"', "sdxl_train.py"),
        ('architecture = "sdxl"\ntraining_type = "dreambooth"', "sdxl_train.py"),
        ('training_type = "lora"\nnetwork_module = "networks.lora"', "train_network.py"),
        ('LoRA_type = "LyCORIS/LoHa"\nnetwork_module = "lycoris.kohya"', "train_network.py"),
        ('architecture = "flux1"\nnetwork_module = "networks.lora_flux"', "flux_train_network.py"),
        ('[model]\narchitecture = "sdxl"', "sdxl_train.py"),  # it opens sections too
    ],
)
def test_the_marks_choose_the_script(marks: str, script: str, tmp_path: Path) -> None:
    found = toml_file(written(f"learning_rate = 1e-5\n{marks}\n", tmp_path), "x", ADDITIONS)
    assert found.usable().script == script


@pytest.mark.parametrize(
    ("marks", "script"),
    [
        ('architecture = "sd3"\ntraining_type = "finetune"', "sd3_train.py"),
        ('architecture = "base"\ntraining_type = "finetune"', "fine_tune.py"),
        ('architecture = "sd15"\ntraining_type = "dreambooth"', "train_db.py"),
        ('architecture = "sdxl"\ninit_word = "cat"', "sdxl_train_textual_inversion.py"),
        ('architecture = "sdxl"\nprompts_file = "p"', "sdxl_train_leco.py"),
        ('architecture = "anima"\nnetwork_module = "networks.lora_anima"', "anima_train_network"),
    ],
)
def test_a_script_that_no_preset_is_for_is_named(marks: str, script: str, tmp_path: Path) -> None:
    found = toml_file(written(f"learning_rate = 1e-5\n{marks}\n", tmp_path), "x", ADDITIONS)
    with pytest.raises(UserError, match=f"the file is for {script}"):
        found.usable()


@pytest.mark.parametrize("value", ['"x64"', '["sdxl"]', "1", "true"])
def test_a_value_that_is_no_mark_changes_nothing(value: str, tmp_path: Path) -> None:
    text = f"architecture = {value}\nlearning_rate = 1e-5\n"
    found = toml_file(written(text, tmp_path), "x", ADDITIONS)
    assert found.read_as == "a config for sdxl_train.py"
    assert [i.what for i in found.report if i.kind == "dropped"] == ["architecture"]
