"""Presets as files of the Kohya GUI: their keys, types and choices, and what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.errors import UserError
from kohya_presets.gui import export, notes
from kohya_presets.gui.export import Exported
from kohya_presets.gui.versions import fields, tables
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from tests.sheets import ADDITIONS, SHIPPED_NAMES

TAGS = ("v22.3.0", "v24.1.7", "v25.2.1", "v26.0.0")
LORA = Preset(
    name="style",
    title="Style",
    summary="A test",
    script="sdxl_train_network.py",
    releases=">=0.7.1",
    train={
        "learning_rate": 1e-4,
        "optimizer_type": "AdamW8bit",
        "max_train_epochs": 10,
        "network_module": "networks.lora",
        "network_dim": 16,
        "network_alpha": 8.0,
        "save_precision": "fp16",
        "save_model_as": "safetensors",
    },
    dataset={"resolution": [1024, 1024], "num_repeats": 3},
)


def with_train(preset: Preset, **train: Any) -> Preset:
    return replace(preset, train={**preset.train, **train})


def said(made: Exported, kind: str) -> dict[str, str]:
    return {item.what: item.why for item in made.report if item.kind == kind}


@pytest.mark.parametrize("tag", fields.tags())
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_an_export_has_only_keys_of_its_version_and_values_of_their_kind(
    name: str, tag: str, shipped: Catalogue
) -> None:
    made = export.export(shipped.load(name), tag, ADDITIONS)
    assert made.text.isascii()
    assert json.loads(made.text) == made.values
    kinds: dict[str, Any] = {"bool": bool, "number": (int, float), "text": str}
    for key, value in made.values.items():
        if key == notes.KEY:
            continue
        field = made.tab.fields[key]
        assert value is not None
        assert isinstance(value, kinds.get(field.kind, (str, int))), key
        assert (field.kind == "bool") is isinstance(value, bool), key
        if field.choices and not field.free and not made.tab.extra_first:
            assert value in field.choices, key


@pytest.mark.parametrize("tag", TAGS)
def test_what_would_change_a_training_is_never_left_to_the_screen(
    tag: str, shipped: Catalogue
) -> None:
    made = export.export(shipped.load("lion"), tag, ADDITIONS)
    told = made.tab.rules.values()
    open_ = {rule.field for rule in told if rule.field} - made.values.keys() - {"learning_rate_te"}
    assert open_ <= tables.PATHS | tables.SECRETS
    always = {"optimizer", "learning_rate", "epoch", "lr_warmup", "train_text_encoder"}
    assert (
        always | {"save_every_n_epochs", "noise_offset", "max_train_epochs"} <= made.values.keys()
    )
    assert not made.values.keys() & tables.MISWIRED
    assert made.values["epoch"] == 100
    assert str(made.values["max_train_epochs"]) == "100"


@pytest.mark.parametrize("tag", TAGS)
def test_without_a_dataset_config_the_metadata_is_made(tag: str, shipped: Catalogue) -> None:
    made = export.export(shipped.load("a6000"), tag, ADDITIONS)
    assert made.values.get("dataset_config", "") == ""
    assert made.values["create_caption"] is True
    assert made.values["create_buckets"] is False
    assert made.values["use_latent_files"] == "No"
    assert made.values["max_resolution"] == "1024,1024"
    assert made.values["dataset_repeats"] == "2"
    assert said(made, "lost") == {}


def test_a_dataset_config_goes_where_the_version_takes_it(shipped: Catalogue) -> None:
    preset, file = shipped.load("lion"), Path("/data/lion.toml")
    old = export.export(preset, "v22.3.0", ADDITIONS, dataset_config=file)
    new = export.export(preset, "v26.0.0", ADDITIONS, dataset_config=file)
    assert '--dataset_config="/data/lion.toml"' in old.values["additional_parameters"]
    assert (old.values["create_caption"], old.values["create_buckets"]) == (False, False)
    assert new.values["dataset_config"] == str(file)
    assert new.values["max_train_steps"] == 0  # max_train_epochs says it


@pytest.mark.parametrize(
    ("train", "tag", "extra"),
    [
        pytest.param({"learning_rate_te2": 0.0}, "v24.1.7", "--learning_rate_te2=0.0", id="zero"),
        pytest.param({"learning_rate_te2": 0.0}, "v25.2.1", "--learning_rate_te2=0.0", id="zero"),
        pytest.param({"learning_rate_te2": 0.0}, "v26.0.0", "", id="zero arrives"),
        pytest.param({"learning_rate_te2": 0.0}, "v22.3.0", "", id="zero arrived"),
        pytest.param({"seed": 0}, "v26.0.0", "--seed=0", id="seed 0 means none"),
        pytest.param({"min_snr_gamma": 4.5}, "v22.3.0", "--min_snr_gamma=4.5", id="whole numbers"),
        pytest.param({"min_snr_gamma": 4.5}, "v24.1.7", "", id="decimals"),
        pytest.param(
            {"lr_scheduler": "cosine", "lr_warmup_steps": 100},
            "v24.1.7",
            "--lr_warmup_steps=100",
            id="steps of warm-up",
        ),
        pytest.param({"lr_scheduler": "cosine", "lr_warmup_steps": 100}, "v25.2.1", "", id="field"),
        pytest.param(
            {"optimizer_type": "my.Optimizer"},
            "v22.3.0",
            "--optimizer_type=my.Optimizer",
            id="no choice",
        ),
        pytest.param(
            {"optimizer_type": "my.Optimizer"},
            "v26.0.0",
            "--optimizer_type=my.Optimizer",
            id="a word survives everywhere",
        ),
        pytest.param({"loss_type": "huber"}, "v24.1.7", "", id="choice"),
        pytest.param(
            {"adaptive_noise_scale": 0.003, "noise_offset": 0.05},
            "v24.1.7",
            "--adaptive_noise_scale=0.003",
            id="lost in loading",
        ),
        pytest.param(
            {"adaptive_noise_scale": 0.003, "noise_offset": 0.05}, "v25.2.1", "", id="kept"
        ),
        pytest.param({"sdpa": True}, "v22.3.0", "", id="one field for both"),
        pytest.param({"lowram": True}, "v26.0.0", "--lowram", id="no field"),
    ],
)
def test_what_no_field_carries_goes_as_words(
    train: dict[str, Any], tag: str, extra: str, shipped: Catalogue
) -> None:
    made = export.export(with_train(shipped.load("skynet"), **train), tag, ADDITIONS)
    assert made.values["additional_parameters"] == extra
    assert said(made, "lost") == {}


def test_a_value_that_no_route_carries_is_reported(shipped: Catalogue) -> None:
    preset = with_train(shipped.load("skynet"), log_prefix="my runs", skip_cache_check=True)
    made = export.export(preset, "v24.1.7", ADDITIONS)
    assert said(made, "lost") == {
        "train.log_prefix": "GUI v24.1.7 has no field for it, "
        "and Additional parameters cannot hold this value",
        "train.skip_cache_check": "the sd-scripts of GUI v24.1.7 does not have it",
    }


def test_a_version_that_overrides_its_own_free_text_takes_the_optimizer_in_the_field(
    shipped: Catalogue,
) -> None:
    made = export.export(shipped.load("adacoor"), "v23.0.15", ADDITIONS)
    assert made.values["optimizer"] == "AdaCoor"
    assert "--optimizer_type" not in made.values["additional_parameters"]


def test_the_patches_options_and_optimizer_go_as_words(shipped: Catalogue) -> None:
    for tag in TAGS:
        ema = export.export(shipped.load("a100-ema"), tag, ADDITIONS)
        assert ema.values["additional_parameters"] == "--enable_ema --ema_decay=0.9995"
        adacoor = export.export(shipped.load("adacoor"), tag, ADDITIONS)
        assert adacoor.values["additional_parameters"] == "--optimizer_type=AdaCoor"


def test_a_lora_says_what_its_tab_cannot() -> None:
    made = export.export(LORA, "v26.0.0", ADDITIONS)
    assert said(made, "lost").keys() == {"dataset.num_repeats"}
    assert made.values["LoRA_type"] == "Standard"
    assert made.values["network_dim"] == 16
    assert made.values["sdxl"] is True
    assert (made.values["text_encoder_lr"], made.values["unet_lr"]) == (1e-4, 1e-4)
    with_file = export.export(LORA, "v26.0.0", ADDITIONS, dataset_config=Path("/d.toml"))
    assert said(with_file, "lost") == {}


@pytest.mark.parametrize(
    ("args", "type_"),
    [
        (["conv_dim=4", "conv_alpha=1"], "Kohya LoCon"),
        (["down_lr_weight=1,1"], "Standard"),
        (["anything=1"], "Standard"),
    ],
)
def test_a_network_finds_its_type_or_goes_as_words(args: list[str], type_: str) -> None:
    made = export.export(with_train(LORA, network_args=args), "v26.0.0", ADDITIONS)
    assert made.values["LoRA_type"] == type_
    words = " ".join(["--network_args", *args]) if args == ["anything=1"] else ""
    assert made.values["additional_parameters"] == words


def test_a_script_without_a_tab_is_refused() -> None:
    with pytest.raises(UserError, match="cannot export a preset for"):
        export.export(replace(LORA, script="flux_train.py"), "v26.0.0", ADDITIONS)


@pytest.mark.parametrize("text", ["26.0.0", "v26.0.0"])
def test_a_version_is_found_with_or_without_its_v(text: str) -> None:
    assert fields.find(text) == "v26.0.0"


def test_an_unknown_version_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="there is no version") as caught:
        fields.find("v25.2.9")
    assert "v25.2" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("tag", "count"), [("v22.3.0", 89), ("v24.1.7", 126), ("v25.2.1", 174), ("v26.0.0", 215)]
)
def test_the_facts_have_as_many_fields_as_were_counted_by_hand(tag: str, count: int) -> None:
    assert len(fields.tab("finetune", tag).fields) == count
