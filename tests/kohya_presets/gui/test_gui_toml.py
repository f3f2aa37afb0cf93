"""sd-scripts' own config files as presets."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.files import render
from kohya_presets.files.render import Paths
from kohya_presets.gui.toml_read import toml_file
from kohya_presets.presets.catalogue import Catalogue
from tests.sheets import ADDITIONS, SHIPPED_NAMES


def rendered(name: str, shipped: Catalogue, folder: Path) -> Path:
    """Write what `render` does, and return the config."""
    preset = shipped.load(name)
    paths = Paths(folder / "data", folder / "base", folder, name, folder / "dataset.toml")
    (folder / "config.toml").write_text(render.config(preset, paths), "utf-8")
    (folder / "dataset.toml").write_text(render.dataset(preset, paths), "utf-8")
    return folder / "config.toml"


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_what_render_wrote_is_read_as_it_was(name: str, shipped: Catalogue, tmp_path: Path) -> None:
    preset = shipped.load(name)
    found = toml_file(rendered(name, shipped, tmp_path), name, ADDITIONS).preset
    assert found.train == preset.train
    assert found.dataset == preset.dataset
    assert set(found.patches) == set(preset.patches) - {"fast-lora"}  # nothing is extracted
    assert found.script == preset.script


def test_without_its_dataset_config_the_rest_is_read(shipped: Catalogue, tmp_path: Path) -> None:
    file = rendered("lion", shipped, tmp_path)
    (tmp_path / "dataset.toml").unlink()
    found = toml_file(file, "lion", ADDITIONS)
    assert found.preset.dataset == {}
    assert [i.what for i in found.report if i.kind == "note"] == ["dataset_config"]


def test_a_dataset_config_alone_is_read(shipped: Catalogue, tmp_path: Path) -> None:
    rendered("lion", shipped, tmp_path)
    found = toml_file(tmp_path / "dataset.toml", "lion", ADDITIONS).preset
    assert found.dataset == shipped.load("lion").dataset
    assert found.train == {}


def test_a_network_makes_it_the_lora_script(tmp_path: Path) -> None:
    text = 'network_module = "networks.lora"\ntrain_batch_size = 2\nno_such = 1\n'
    text += 'resolution = "1024,1024"\n'
    (tmp_path / "c.toml").write_text(text, "utf-8")
    found = toml_file(tmp_path / "c.toml", "c", ADDITIONS)
    assert found.preset.script == "sdxl_train_network.py"
    assert found.preset.dataset == {"batch_size": 2, "resolution": [1024, 1024]}
    assert [i.what for i in found.report if i.kind == "dropped"] == ["no_such"]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ('network_module = "networks.lora_flux"\nae = "a"\nt5xxl = "t"\n', "flux_train_network.py"),
        (
            'pretrained_model_name_or_path = "v1-5.ckpt"\nnetwork_module = "networks.lora"\n',
            "train_network.py",
        ),
        ('# for train_network.py\nnetwork_module = "networks.lora"\n', "train_network.py"),
    ],
)
def test_a_file_is_imported_for_its_own_script(text: str, script: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text + "network_dim = 8\n", "utf-8")
    assert toml_file(tmp_path / "c.toml", "c", ADDITIONS).preset.script == script


def test_a_file_of_another_tool_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[general_args.args]\nseed = 1\n[[subsets]]\n", "utf-8")
    with pytest.raises(UserError, match="is for LoRA_Easy_Training_Scripts"):
        toml_file(tmp_path / "c.toml", "c", ADDITIONS)


def test_a_file_of_lora_scripts_is_said_to_be_one(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'model_train_type = "sd-lora"\nnetwork_dim = 8\nlearning_rate = 1e-4\n', "utf-8"
    )
    found = toml_file(file, "a", ADDITIONS)
    assert found.read_as == "a config of lora-scripts for train_network.py"
    assert "model_train_type" not in {item.what for item in found.report}


def test_the_guis_own_config_says_what_to_import_instead(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[settings]\nuse_shell = false\n[basic]\nlr_warmup = 0\n", "utf-8")
    with pytest.raises(UserError, match=r"is the Kohya GUI's own config\.toml") as caught:
        toml_file(file, "a", ADDITIONS)
    assert "kohya-presets gui import FILE.json" in (caught.value.hint or "")


def test_a_key_that_is_no_option_says_where_its_value_belongs(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('network_module = "networks.lora"\nweight_decay = 0.1\nonnx = true\n', "utf-8")
    report = {item.what: item.why for item in toml_file(file, "a", ADDITIONS).report}
    assert report["weight_decay"].endswith('optimizer_args = ["weight_decay=0.1"].')
    assert report["onnx"] == "not an option of this script"
