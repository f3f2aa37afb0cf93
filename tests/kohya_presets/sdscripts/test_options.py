from __future__ import annotations

from typing import Any

import pytest

from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.options import Option

TRAIN = options.of("sdxl_train.py")


def test_counts_are_those_of_the_newest_release() -> None:
    assert [len(options.of(script)) for script in options.SCRIPTS] == [
        *(178, 198, 16, 10),
        *(195, 219, 222, 217, 218, 233),
        *(169, 171, 198, 205, 195, 208, 171, 172, 155, 171, 197, 173),
    ]


def test_kin_have_what_the_sdxl_script_has_but_for_some() -> None:
    sdxl = options.of("sdxl_train_network.py")
    assert sdxl.keys() - options.of("train_network.py").keys() == {
        *("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"),
        "disable_mmap_load_safetensors",
    }
    flux = options.of("flux_train_network.py")
    assert sdxl.keys() < flux.keys()
    assert (flux["guidance_scale"].since, flux["learning_rate"].since) == ("v0.10.0", "v0.10.0")
    assert flux["show_timesteps"].since == "v0.11.1"
    assert options.releases_with("flux_train_network.py", "ae")[0] == "v0.10.0"


def test_a_script_that_a_release_has_not_has_no_options_there() -> None:
    assert options.of("flux_train_network.py", "v0.9.1") == {}
    assert len(options.of("train_network.py", "v0.7.0")) == 133


def test_an_unknown_script_has_no_options() -> None:
    assert options.of("train.py") == {}


@pytest.mark.parametrize(
    ("name", "since"),
    [("learning_rate", "v0.7.0"), ("learning_rate_te1", "v0.7.1"), ("huber_scale", "v0.10.0")],
)
def test_an_option_knows_its_first_release(name: str, since: str) -> None:
    assert TRAIN[name].since == since


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 1),
        ("learning_rate", 1e-6),
        ("lr_warmup_steps", 0.1),
        ("mixed_precision", "bf16"),
        ("optimizer_args", ["a=1"]),
        ("max_token_length", 150),
        ("train_text_encoder", False),
    ],
)
def test_a_fitting_value_passes(name: str, value: Any) -> None:
    assert options.check(TRAIN[name], value) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", "5", "expected a whole number, found '5'"),
        ("seed", True, "expected a whole number, found true"),
        ("learning_rate", "1e-6", "expected a number, found '1e-6'"),
        ("optimizer_args", "a=1", "expected a list of strings, found 'a=1'"),
        ("max_token_length", 75, "expected one of 150, 225, found 75"),
        ("no_half_vae", "true", "expected true or false, found 'true'"),
    ],
)
def test_a_misfit_is_told_with_both_sides(name: str, value: Any, message: str) -> None:
    assert options.check(TRAIN[name], value) == message


def test_dataset_numbers_are_as_strict_as_sd_scripts() -> None:
    split = options.dataset()["validation_split"]
    assert options.check(split, 0) == "expected a number with a decimal point, found 0"
    assert options.check(options.dataset()["caption_dropout_rate"], 0) is None
    assert options.check(options.dataset()["resolution"], 1024) is None


def test_every_type_in_the_facts_is_known() -> None:
    every = [o for script in options.SCRIPTS for o in options.of(script).values()]
    for option in [*every, *options.dataset().values()]:
        assert options.check(Option(option.name, option.type), object())


def test_a_choice_younger_than_its_option_knows_its_release() -> None:
    loss = TRAIN["loss_type"]
    assert loss.since == "v0.8.6"
    assert loss.choices_since == {"l1": "v0.10.0"}
    assert not TRAIN["mixed_precision"].choices_since
