"""What a LoRA's metadata, a sample's name and an evaluation say."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.cards import evaluated, facts, metadata, samples
from kohya_presets.cards.facts import Facts, Sampling
from kohya_presets.cards.words import Words
from tests.kohya_presets.cards import made

TRAINED = {  # as train_network.py writes it
    "ss_network_module": "networks.lora",
    "ss_sd_model_name": "sd_xl_base_1.0.safetensors",
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_sd_scripts_commit_hash": "0123456789abcdef",
    "ss_num_train_images": "200",
    "ss_dataset_dirs": json.dumps({"10_korra": {"n_repeats": 10, "img_count": 20}}),
    "ss_num_epochs": "10",
    "ss_epoch": "4",
    "ss_steps": "800",
    "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1)",
    "ss_learning_rate": "0.0001",
    "ss_unet_lr": "None",
    "ss_text_encoder_lr": "5e-05",
}


def read(said: dict[str, str], parts: tuple[str, ...] = ("U-Net",)) -> Facts:
    return facts.of_metadata(
        "a", "a.safetensors", said, size=1, weights_sha256="", rank=4, precision="fp16", parts=parts
    )


def test_the_metadata_of_a_training_are_read() -> None:
    found = read(TRAINED)
    assert (found.images, found.epochs, found.epoch, found.steps) == (20, 10, 4, 800)
    assert found.optimizer == "AdamW8bit"
    assert found.rates == {"U-Net": 1e-4, "text encoders": 5e-5}
    assert found.base_model == "stabilityai/stable-diffusion-xl-base-1.0"
    assert found.release == "commit 0123456789ab"
    assert found.is_sdxl


def test_the_images_of_a_dataset_config_are_counted_once() -> None:
    subsets = [{"img_count": 7}, {"img_count": 5}, {"img_count": 99, "is_reg": True}]
    said = {"ss_datasets": json.dumps([{"subsets": subsets}]), **TRAINED}
    assert read(said).images == 12


@pytest.mark.parametrize("name", [*TRAINED])
@pytest.mark.parametrize(
    "value", ["", "null", "[]", "{}", "NaN", "1e999", "[[[", "x", '"1"', "true"]
)
def test_odd_metadata_stop_nobody(name: str, value: str) -> None:
    read({**TRAINED, name: value, "ss_datasets": value})


def test_a_base_models_folder_is_not_shown() -> None:
    for said in ("/home/me/sd_xl_base_1.0.safetensors", "C:\\me\\sd_xl_base_1.0.safetensors"):
        assert read({"ss_sd_model_name": said}).base == "sd_xl_base_1.0.safetensors"
    assert read({"ss_sd_model_name": "me/model"}).base_model == "me/model"


def test_a_lora_is_for_sdxl_by_its_shapes_else_by_its_word() -> None:
    sdxl = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}
    assert facts.is_sdxl(sdxl, (), None)
    assert not facts.is_sdxl(sdxl, (), "Stable Diffusion 1")
    assert not facts.is_sdxl({"ss_base_model_version": "sd_v1"}, ("text encoder 2",), None)
    assert facts.is_sdxl({}, ("text encoder 2",), None)
    assert facts.is_sdxl({}, ("U-Net",), "SDXL")
    assert not facts.is_sdxl({}, ("U-Net",), None)


@pytest.mark.parametrize(
    ("line", "text", "sampling", "seed"),
    [
        ("korra", "korra", Sampling("ddim", 30, 7.5, 512, 512), None),
        (
            "a, b --w 832 --h 1216 --s 28 --l 6.5 --d 42 --n bad, worse",
            "a, b",
            Sampling("ddim", 28, 6.5, 832, 1216, negative="bad, worse"),
            42,
        ),
        ("x --ss euler_a --D 7", "x", Sampling("euler_a", 30, 7.5, 512, 512), 7),
        ("x --w wide --l . --d x", "x", Sampling("ddim", 30, 7.5, 512, 512), None),
    ],
)
def test_a_prompt_line_is_taken_apart_as_sd_scripts_does(
    line: str, text: str, sampling: Sampling, seed: int | None
) -> None:
    assert samples.prompt(line) == (text, sampling, seed)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("korra_e000010_02_20261127191306_42.png", (10, True, 2)),
        ("korra_000120_00_20261127191306.png", (120, False, 0)),
        ("skynet_000012_01.png", (12, False, 1)),
        ("my_e000010_00_x_e000020_01_20261127191306.png", (20, True, 1)),
        ("holiday.png", None),
    ],
)
def test_a_samples_name_says_when_and_which_prompt(name: str, expected: Any) -> None:
    assert samples.picture(name) == expected


def test_of_an_evaluation_the_models_own_part_is_taken() -> None:
    found = made.evaluation()
    assert (found.copies, found.captions, found.leak, found.verdict) == (1, 4, 0.05, "right")
    # The best kind of prompt, and the strength nearest to 1, first; no copies, and not the base.
    assert [shown.file for shown in found.shown] == ["c.png", "b.png"]
    assert evaluated.of(made.EVALUATION, "other") is None
    assert evaluated.of({**made.EVALUATION, "format": 2}, "korra") is None
    assert evaluated.of(None, "korra") is None


def test_an_evaluation_that_found_nothing_has_no_notes() -> None:
    values = copy.deepcopy(dict(made.EVALUATION))
    values["epochs"] = [{"model": "korra", "copies": 0, "of": 4, "leak": 0.001}]
    found = evaluated.of(values, "korra")
    assert found
    assert [*evaluated.notes(found)] == []
    assert len([*evaluated.notes(made.evaluation())]) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(made.EVALUATION)), JSON)
def test_an_edited_evaluation_stops_nobody(key: str, value: Any) -> None:
    found = evaluated.of({**made.EVALUATION, key: value}, "korra")
    if found:
        assert isinstance([*evaluated.notes(found)], list)


def test_the_metadata_have_what_the_author_said_and_nothing_empty() -> None:
    found = metadata.of(made.RUN, made.told(made.FILLED), {}, thumbnail="data:image/webp;base64,x")
    assert found["modelspec.title"] == "Korra"
    assert found["modelspec.trigger_phrase"] == "korra, korra style"
    assert found["modelspec.tags"] == "character, avatar"
    assert found["modelspec.usage_hint"].startswith("Trigger: korra, korra style; LoRA strength")
    assert found["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert all(found.values())
    assert all(key.startswith(metadata.PREFIX) for key in found)


def test_what_a_lora_says_of_its_model_is_not_changed() -> None:
    there = {"modelspec.architecture": "other/lora", "modelspec.sai_model_spec": "1.0.0"}
    found = metadata.of(made.RUN, Words(), there)
    assert not set(there) & set(found)
