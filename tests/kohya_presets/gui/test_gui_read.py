"""Files saved by the Kohya GUI as presets: what is understood, mended, and left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.errors import UserError
from kohya_presets.gui import export, notes, read
from kohya_presets.gui.imported import Imported
from kohya_presets.gui.versions import saved_file
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset, to_toml
from kohya_presets.sdscripts.scripts import TRAINERS
from tests.sheets import ADDITIONS, SHIPPED_NAMES

TAGS = ("v22.3.0", "v23.0.15", "v24.1.7", "v25.2.1", "v26.0.0")
TUNE = {"sdxl_checkbox": True, "dataset_repeats": "1", "learning_rate": 1e-5, "optimizer": "Lion"}
LORA = {"sdxl": True, "LoRA_type": "Standard", "network_dim": 8, "learning_rate": 1e-4}


def imported(values: dict[str, Any], name: str = "a file") -> Imported:
    return read.json_file(json.dumps(values).encode(), name, ADDITIONS)


def became(found: Imported, key: str) -> tuple[str, str]:
    (item,) = [item for item in found.report if item.what == key]
    return item.kind, item.why


def bare(preset: Preset) -> Preset:
    return replace(preset, file=None, extends=(), sources=())


@pytest.mark.parametrize("data", [None, Path("/d.toml")], ids=["alone", "with dataset config"])
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_an_export_comes_back_as_the_preset(
    name: str, tag: str, data: Path | None, shipped: Catalogue
) -> None:
    preset = bare(shipped.load(name))
    made = export.export(preset, tag, ADDITIONS, dataset_config=data)
    assert read.json_file(made.text.encode(), "any", ADDITIONS).preset == preset


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_saved_again_by_the_gui_it_still_trains_the_same(
    name: str, tag: str, shipped: Catalogue
) -> None:
    preset = shipped.load(name)
    values = dict(export.export(preset, tag, ADDITIONS).values)
    del values[notes.KEY]  # the GUI writes only its own keys
    found = imported(values).preset
    usual = {"lr_scheduler": "constant", "lr_warmup_steps": 0, "gradient_accumulation_steps": 1}
    same = {"batch_size": 1, "min_bucket_reso": 256, "bucket_reso_steps": 64, "num_repeats": 1}
    assert usual | found.train == usual | preset.train
    assert same | found.dataset == same | preset.dataset
    assert set(found.patches) == set(preset.patches) - {"fast-lora"}  # nothing is extracted
    assert (found.extract, found.resize) == (None, None)


def test_an_edit_in_the_file_wins_over_the_notes(shipped: Catalogue) -> None:
    preset = bare(shipped.load("skynet"))
    values = {
        **export.export(preset, "v26.0.0", ADDITIONS).values,
        "learning_rate": 2e-6,
        "xformers": "sdpa",
    }
    found = imported(values)
    # The GUI's fields for the text encoders still hold the rate that was exported.
    rates = {"learning_rate": 2e-6, "learning_rate_te1": 1e-6, "learning_rate_te2": 1e-6}
    assert found.preset.train == {**preset.train, **rates, "sdpa": True}
    assert "train.learning_rate" not in found.preset.provenance
    assert found.preset.resize == preset.resize
    assert became(found, "train.learning_rate") == ("note", "changed since the export")


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ({"gradient_checkpointing": "false"}, {}),
        ({"gradient_checkpointing": "True"}, {"gradient_checkpointing": True}),
        ({"xformers": True}, {"xformers": True}),
        ({"xformers": "sdpa"}, {"sdpa": True}),
        ({"seed": "1234"}, {"seed": 1234}),
        ({"seed": ""}, {}),
        ({"learning_rate": "2e-6"}, {"learning_rate": 2e-6}),
        ({"optimizer": None, "use_8bit_adam": True}, {"optimizer_type": "AdamW8bit"}),
        ({"use_wandb": True}, {"log_with": "wandb"}),
        ({"optimizer_args": '"d=1" "e=2"'}, {"optimizer_args": ["d=1", "e=2"]}),
        ({"epoch": "3"}, {"max_train_epochs": 3}),
        ({"epoch": 3, "max_train_epochs": "7"}, {"max_train_epochs": 7}),
        ({"lr_warmup": "10", "lr_scheduler": "cosine"}, {"lr_warmup_steps": 0.1}),
        ({"lr_warmup": 10, "lr_scheduler": "constant"}, {}),
        (
            {"additional_parameters": "--min_snr_gamma 5 --lowram"},
            {"min_snr_gamma": 5.0, "lowram": True},
        ),
        ({"additional_parameters": "--enable_ema"}, {"enable_ema": True}),
        ({"save_model_as": "same as source model"}, {"save_model_as": "safetensors"}),
        ({"learning_rate_te1": 0.0, "train_text_encoder": True}, {"learning_rate_te1": 0.0}),
        ({"learning_rate_te1": 1e-5, "train_text_encoder": True}, {}),
    ],
)
def test_a_value_becomes_the_option_that_it_means(
    values: dict[str, Any], options: dict[str, Any]
) -> None:
    found = imported({**TUNE, **values}).preset.train
    assert options.items() <= found.items()
    for key in set(values) - set(options):
        assert key not in found or key in (*TUNE, "train_text_encoder", "lr_scheduler")


@pytest.mark.parametrize(
    ("values", "key", "kind", "why"),
    [
        ({"output_dir": "C:\\out"}, "output_dir", "dropped", "belongs to one machine or run"),
        ({"wandb_api_key": "abc"}, "wandb_api_key", "dropped", "a secret"),
        ({"clip_g": True, "sd3_checkbox": False}, "clip_g", "dropped", "v25 saves another"),
        ({"seed": float("1e18")}, "seed", "dropped", "expected"),
        ({"seed": [1]}, "seed", "dropped", "expected"),
        ({"seed": None}, "seed", "dropped", "null"),
        ({"nonsense": 1}, "nonsense", "dropped", "no version of the GUI knows it"),
        ({"network_dim": 1}, "network_dim", "dropped", "a field of the lora tab"),
        ({"max_resolution": "512,512"}, "max_resolution", "converted", "resolution = [512, 512]"),
        ({"train_batch_size": 4}, "train_batch_size", "renamed", "batch_size"),
        ({"random_crop": True}, "random_crop", "mapped", ""),
        ({"random_crop": False}, "random_crop", "default", "same as the default"),
        ({"mixed_precision": "fp99"}, "mixed_precision", "dropped", "expected one of"),
        ({"generate_caption_database": True}, "generate_caption_database", "default", ""),
    ],
)
def test_every_key_is_accounted_for(values: dict[str, Any], key: str, kind: str, why: str) -> None:
    found = became(imported({**TUNE, **values}), key)
    assert found[0] == kind
    assert why in found[1]


def test_words_that_are_no_option_are_named() -> None:
    found = imported({**TUNE, "additional_parameters": "--no_such=1 --seed x"})
    assert became(found, "additional_parameters --no_such 1") == (
        "dropped",
        "not an option of this script",
    )
    assert became(found, "additional_parameters --seed x") == (
        "dropped",
        "not a valid value for seed",
    )


def test_a_lora_file_becomes_a_preset_of_the_lora_script(tmp_path: Path) -> None:
    values = {
        **LORA,
        "LoRA_type": "Kohya LoCon",
        "conv_dim": 4,
        "conv_alpha": 2,
        "text_encoder_lr": 5e-5,
        "unet_lr": 1e-4,
        "max_train_epochs": "10",
        "train_data_dir": "/images",
    }
    preset = imported(values, "My LoRA (v2)").preset
    assert preset.script == "sdxl_train_network.py"
    assert preset.name == "my-lora-v2"
    assert preset.train["network_module"] == "networks.lora"
    assert preset.train["network_args"] == ["conv_dim=4", "conv_alpha=2"]
    assert preset.train["text_encoder_lr"] == 5e-5  # a number is taken by every release
    assert "unet_lr" not in preset.train  # the learning rate
    (tmp_path / "p.toml").write_text(to_toml(preset, provenance=False), "utf-8")
    assert Catalogue(()).load(str(tmp_path / "p.toml")).train == preset.train


def test_one_rate_of_zero_trains_only_the_other() -> None:
    found = imported({**LORA, "text_encoder_lr": 0, "unet_lr": "0.0001"}).preset.train
    assert found["network_train_unet_only"] is True
    assert "text_encoder_lr" not in found


@pytest.mark.parametrize(
    ("values", "script"),
    [
        ({**LORA, "sdxl": False, "sd3_checkbox": True}, "sd3_train_network.py"),
        ({**TUNE, "sdxl_checkbox": False}, "fine_tune.py"),
        ({**TUNE, "sdxl_checkbox": False, "sd3_checkbox": True}, "sd3_train.py"),
    ],
)
def test_another_model_is_read_but_is_no_preset_to_use(values: dict[str, Any], script: str) -> None:
    found = imported(values)
    assert found.preset.script == script
    assert script not in TRAINERS
    with pytest.raises(UserError, match=f"the file is for {script}") as caught:
        found.usable()
    assert "sdxl_train_network.py" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("values", "script"),
    [
        ({**LORA, "sdxl": False}, "train_network.py"),
        ({**LORA, "sdxl": False, "flux1_checkbox": True}, "flux_train_network.py"),
    ],
)
def test_a_lora_of_another_model_becomes_a_preset_for_its_script(
    values: dict[str, Any], script: str
) -> None:
    values = {**values, "sdxl_no_half_vae": True, "ae": "/m/ae.safetensors", "guidance_scale": 2.5}
    found = imported(values)
    assert found.usable().script == script
    assert "no_half_vae" not in found.preset.train
    flux = script.startswith("flux")
    assert found.preset.train.get("guidance_scale") == (2.5 if flux else None)
    assert found.preset.releases == (">=0.10.0" if flux else ">=0.7.0")
    assert "ae" not in found.preset.train
    again = export.export(found.preset, "v26.0.0", ADDITIONS).values
    assert (again["sdxl"], again["flux1_checkbox"]) == (False, flux)
    assert "ae" not in again
    assert imported(again).preset.tables == found.preset.tables


def test_flux_came_with_a_version() -> None:
    preset = imported({**LORA, "sdxl": False, "flux1_checkbox": True}).preset
    with pytest.raises(UserError, match="cannot train FLUX"):
        export.export(preset, "v24.1.7", ADDITIONS)


@pytest.mark.parametrize(("values", "script"), [(LORA, "train_network.py"), (TUNE, "fine_tune.py")])
def test_a_file_without_a_key_for_sdxl_is_older_than_sdxl(
    values: dict[str, Any], script: str
) -> None:
    found = imported({k: v for k, v in values.items() if not k.startswith("sdxl")})
    assert found.preset.script == script
    assert "older than v21.8.0" in became(found, "sdxl")[1]


@pytest.mark.parametrize("more", [{"sdxl_no_half_vae": True}, {"sdxl": None}])
def test_a_file_with_other_keys_of_sdxl_is_taken_as_sdxl_and_says_so(more: dict[str, Any]) -> None:
    found = imported({"LoRA_type": "Standard", "network_dim": 8, **more})
    assert found.usable().script == "sdxl_train_network.py"
    assert any(item[:2] == ("note", "sdxl") for item in found.report)


def test_the_old_box_for_8_bit_is_told_as_what_it_does() -> None:
    without = {k: v for k, v in TUNE.items() if k != "optimizer"}
    assert became(imported({**without, "use_8bit_adam": True}), "use_8bit_adam") == (
        "converted",
        "to optimizer_type = 'AdamW8bit'",
    )
    assert became(imported({**TUNE, "use_8bit_adam": True}), "use_8bit_adam")[0] == "dropped"


@pytest.mark.parametrize(
    ("values", "train"),
    [
        (
            {"model_type": "chroma", "guidance_scale": 0},
            {"model_type": "chroma", "apply_t5_attn_mask": True, "guidance_scale": 0.0},
        ),
        ({"model_type": "flux"}, {"network_module": "networks.lora_flux"}),
        ({"model_type": "flux", "rank_dropout": 0.1}, {"network_args": ["rank_dropout=0.1"]}),
        ({"rank_dropout": 0.1}, {"network_module": "networks.lora_flux"}),  # v26.0.0 sends none
    ],
)
def test_what_the_newest_commits_send_is_known(
    values: dict[str, Any], train: dict[str, Any]
) -> None:
    flux = {**LORA, "sdxl": False, "flux1_checkbox": True, "LoRA_type": "Flux1"}
    found = imported({**flux, **values})
    assert train.items() <= found.usable().train.items()
    assert ("network_args" in found.preset.train) is ("network_args" in train)
    assert ("model_type" in found.preset.train) is ("model_type" in train)
    if "model_type" in values:
        assert became(found, "model_type")[0] == ("mapped" if "model_type" in train else "default")


def test_the_oldest_release_is_one_that_knows_every_setting() -> None:
    assert imported(TUNE).preset.releases == ">=0.7.0"
    warm = imported({**TUNE, "lr_warmup": 10, "lr_scheduler": "cosine"}).preset
    assert warm.releases == ">=0.9.0"


@pytest.mark.parametrize(("values", "tab"), [(TUNE, "finetune"), (LORA, "lora")])
def test_the_tab_is_known_by_its_keys(values: dict[str, Any], tab: str) -> None:
    assert saved_file.tab(values) == tab


@pytest.mark.parametrize("tag", ["v22.6.2", "v23.0.15", "v24.1.7", "v25.2.2", "v26.0.0"])
def test_the_version_is_known_by_its_keys(tag: str, shipped: Catalogue) -> None:
    values = export.export(shipped.load("lion"), tag, ADDITIONS).values
    assert saved_file.version("finetune", values) == tag or tag == "v22.6.2"
