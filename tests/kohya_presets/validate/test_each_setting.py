"""Each setting is an option of its script, of the right type, and no path."""

from __future__ import annotations

import pytest

from kohya_presets.presets.preset import PATHS
from kohya_presets.sdscripts import options
from tests.sheets import Make, faults, problems, spoiled

HEADER = ('"A test"', '"A test"\npatches = ["ema"]')


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            ("learning_rate = 1e-6", 'learning_rate = "1e-6"'),
            ("wrong-type", 12),
            id="text for a number",
        ),
        pytest.param(("dim = 8", "dim = 8.5"), ("wrong-type", 18), id="half a rank"),
        pytest.param(("dim = 8", "dim = true"), ("wrong-type", 18), id="true is no number"),
        pytest.param(("[1024, 1024]", "[1024, 1024, 3]"), ("wrong-type", 15), id="three sides"),
        pytest.param(
            ('"AdamW"', '"AdamW"\nmixed_precision = "fp8"'),
            ("wrong-choice", 12),
            id="no such choice",
        ),
        pytest.param(
            ('"AdamW"', '"AdamW"\noptimizer_args = "a=1"'), ("wrong-type", 12), id="text for a list"
        ),
        pytest.param(
            ('"AdamW"', '"AdamW"\noptimizer_args = [\'\\\', "a"]'),
            ("unreadable-value", 12),
            id="a list that sd-scripts' parser misreads",
        ),
        pytest.param(("learning_rate", "learning_rat"), ("unknown-option", 12), id="misspelled"),
        pytest.param(
            ("[dataset]", "[dataset]\nlearning_rate = 1.0"), ("training-option", 15), id="moved"
        ),
        pytest.param(
            ('"AdamW"', '"AdamW"\nema_decay = 0.9'), ("missing-patch", 12), id="patch missing"
        ),
        pytest.param(('"sdxl_train.py"', '"train.py"'), ("unknown-script", 7), id="script"),
        pytest.param(
            ('"sdxl_train.py"', '"networks/resize_lora.py"'),
            ("unknown-script", 7),
            id="a script that trains nothing",
        ),
    ],
)
def test_a_fault_is_named_with_its_file_and_line(
    change: tuple[str, str], expected: tuple[str, int], make: Make
) -> None:
    code, line = expected
    assert faults(make(mine=spoiled(change)), "mine") == [(code, f"mine.toml:{line}")]


@pytest.mark.parametrize("key", sorted(PATHS))
def test_no_path_may_stand_in_a_preset(key: str, make: Make) -> None:
    text = spoiled(("dim = 8", f"dim = 8\n{key} = 'C:\\sdxl'"))
    assert faults(make(mine=text), "mine") == [("path-in-preset", "mine.toml:19")]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (("learning_rate", "learning_rat"), "Did you mean 'learning_rate'"),
        (("dim = 8", "dimm = 8"), "Did you mean 'dim'"),
        (("dim = 8", "dim = [8, 4]"), 'Add patches = ["fast-lora"] to [preset] to use this value.'),
        (("[dataset]", "[dataset]\nsdpa = true"), "Move it to the [train] table."),
        (('"AdamW"', '"AdamW"\nnum_repeats = 2'), "Move it to the [dataset] table."),
        (('"AdamW"', '"AdamW"\nenable_ema = true'), 'Add patches = ["ema"] to [preset].'),
        (('"sdxl_train.py"', '"sdxl_trian.py"'), "Did you mean 'sdxl_train.py'"),
    ],
)
def test_a_fault_says_what_to_do(change: tuple[str, str], hint: str, make: Make) -> None:
    (problem,) = problems(make(mine=spoiled(change)), "mine")
    assert (problem.hint or "").startswith(hint)


def test_a_patch_brings_its_options(make: Make) -> None:
    text = spoiled(HEADER, ('"AdamW"', '"AdamW"\nema_decay = 0.9\nema_device = "cpu"'))
    assert make(mine=text).load("mine").train["ema_decay"] == 0.9


def test_an_option_of_a_patch_is_checked_like_any_other(make: Make) -> None:
    text = spoiled(HEADER, ('"AdamW"', '"AdamW"\nema_device = "tpu"'))
    assert faults(make(mine=text), "mine") == [("wrong-choice", "mine.toml:13")]


def test_options_are_those_of_the_presets_own_script(make: Make) -> None:
    rank = ('"AdamW"', '"AdamW"\nnetwork_dim = 16')
    assert faults(make(mine=spoiled(rank)), "mine") == [("other-script", "mine.toml:12")]
    lora = ('"sdxl_train.py"', '"sdxl_train_network.py"')
    assert make(mine=spoiled(rank, lora)).load("mine").train["network_dim"] == 16


@pytest.mark.parametrize("script", ['"train.py"', "5"])
def test_a_wrong_script_is_no_excuse_for_a_wrong_option(script: str, make: Make) -> None:
    text = spoiled(
        ('"sdxl_train.py"', script),
        ('"AdamW"', '"AdamW"\nnetwork_dim = 16'),  # right for one of the scripts it may be
        ("learning_rate", "learning_rat"),
        ("dim = 8", 'dim = "8"'),
    )
    assert [spot for _, spot in faults(make(mine=text), "mine")] == [
        *("mine.toml:7", "mine.toml:13", "mine.toml:19"),
    ]


@pytest.mark.parametrize("patches", ['"ema"', "7", '[["ema"]]'])
def test_wrong_patches_are_one_fault_and_their_options_none(patches: str, make: Make) -> None:
    text = spoiled(
        ('"A test"', f'"A test"\npatches = {patches}'), ('"AdamW"', '"AdamW"\nenable_ema = true')
    )
    assert faults(make(mine=text), "mine") == [("wrong-type", "mine.toml:7")]


def test_every_path_is_an_option_of_some_script() -> None:
    known = {name for script in options.SCRIPTS for name in options.of(script)}
    assert known | options.dataset().keys() | {"metadata_file"} >= PATHS
