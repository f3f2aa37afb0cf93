"""What optimizers and schedules take and need, what has no effect, and which rates are theirs."""

from __future__ import annotations

import pytest

from kohya_presets.sdscripts import arguments, optimizers
from kohya_presets.training.settings import Settings
from kohya_presets.validate import rules
from tests.kohya_presets.validate.rules.schedules import ASKED, Options, errors
from tests.sheets import ADDITIONS


@pytest.mark.parametrize(("given", "code"), ASKED, ids=str)
def test_what_stops_an_optimizer_or_a_schedule_is_an_error(
    given: Options, code: str | None
) -> None:
    assert errors(given, "v0.10.1") == ([code] if code else [])


def said(code: str, script: str = "sdxl_train.py", **train: object) -> list[str]:
    settings = Settings({"train": train}, script)
    found = [p for p in rules.check(settings) if p.code == code]
    return [f"{p.message} | {p.hint}" for p in found]


def test_every_optimizer_and_schedule_has_its_facts() -> None:
    for name in (*(o.name for o in optimizers.EVERY.values()), *optimizers.TORCH):
        assert arguments.of_optimizer(name), name
    for name in set(optimizers.SCHEDULES) - {"adafactor"}:
        assert arguments.of_schedule(name), name
    for name in optimizers.TORCH_SCHEDULES:
        assert arguments.of_schedule_class(name), name
    for name in (*optimizers.UNUSABLE_SCHEDULES, "package.Class"):
        assert arguments.of_schedule_class(name) is None


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("relative_step=False,", "relative_step=(False,) is a tuple"),
        ("relative_step='False'", "relative_step='False' is text"),
        ("relative_step=False", None),
        ("eps=(1e-30,1e-3)", None),
    ],
)
def test_what_counts_as_true_is_told(argument: str, words: str | None) -> None:
    found = said("trailing-comma", optimizer_type="Adafactor", optimizer_args=[argument])
    assert [text.startswith(words or "") for text in found] == [True] * bool(words)


def test_the_hint_of_an_argument_that_an_option_sets_names_the_option() -> None:
    found = said("schedule-argument", lr_scheduler="polynomial", lr_scheduler_args=["power=2"])
    assert found == [
        "sd-scripts itself gives power to polynomial | Use lr_scheduler_power instead."
    ]


@pytest.mark.parametrize(
    ("train", "key"),
    [
        ({"optimizer_type": "AdamWScheduleFree", "lr_scheduler": "cosine"}, "lr_scheduler"),
        ({"optimizer_type": "AdamWScheduleFree", "lr_warmup_steps": 10}, "lr_warmup_steps"),
        ({"optimizer_type": "AdamWScheduleFree", "lr_scheduler": "constant"}, None),
        ({"lr_scheduler_type": "ConstantLR", "lr_scheduler": "cosine"}, "lr_scheduler"),
        ({"lr_scheduler_type": "ConstantLR"}, None),
        ({"lr_scheduler": "piecewise_constant", "lr_warmup_steps": 5}, "lr_warmup_steps"),
        ({"lr_scheduler": "cosine", "lr_warmup_steps": 5}, None),
    ],
)
def test_a_schedule_that_is_not_used_is_told(train: Options, key: str | None) -> None:
    found = said("schedule-idle", **train)
    assert [text.split()[0] for text in found] == ([key] if key else [])


def test_a_warm_up_is_too_long_only_where_there_is_one() -> None:
    long = {"lr_warmup_steps": 200, "max_train_steps": 100}
    assert said("warmup-too-long", lr_scheduler="cosine", **long)
    assert not said("warmup-too-long", lr_scheduler="piecewise_constant", **long)
    assert not said("warmup-too-long", optimizer_type="AdamWScheduleFree", **long)


@pytest.mark.parametrize(
    ("train", "kept"),
    [
        ({"lr_scheduler": "cosine"}, True),
        ({"lr_scheduler": "warmup_stable_decay"}, True),
        ({"lr_scheduler": "inverse_sqrt"}, False),
        ({"lr_scheduler": "piecewise_constant"}, False),
        ({"lr_scheduler": "constant_with_warmup"}, False),
        ({"lr_scheduler": "cosine", "lr_scheduler_type": "StepLR"}, False),
        ({"lr_scheduler": "cosine", "optimizer_type": "AdamWScheduleFree"}, False),
        ({"lr_scheduler": "cosine", "optimizer_type": "Adafactor"}, False),
    ],
)
def test_the_length_is_kept_on_a_resume_only_where_it_shapes_the_schedule(
    train: Options, kept: bool
) -> None:
    (text,) = said("resumed-count", resume="state", **train)
    assert text.split(" | ")[1].startswith("Keep" if kept else "Reduce")


@pytest.mark.parametrize("script", ["sdxl_train.py", "sdxl_train_network.py"])
def test_with_the_patch_a_script_counts_exactly(script: str) -> None:
    train = {"resume": "state", "state_every_minutes": 20.0}
    settings = Settings({"train": train}, script, patches=("resume",), additions=ADDITIONS)
    assert not [p for p in rules.check(settings) if p.code.startswith("resumed")]


def test_a_lora_that_is_told_where_to_begin_does_not_count_on_from_the_state() -> None:
    script, train = "sdxl_train_network.py", {"resume": "state"}
    assert said("resumed-on", script, **train)
    assert not said("resumed-on", script, **train, initial_epoch=3)


@pytest.mark.parametrize(
    ("script", "rate", "fits"),
    [
        ("sdxl_train_control_net_lllite.py", 2e-4, True),  # as its README has it
        ("sdxl_train_textual_inversion.py", 5e-3, True),
        ("sdxl_train_textual_inversion.py", 1.0, False),
        ("sdxl_train.py", 5e-3, False),
        ("fine_tune.py", 1.0, False),
    ],
)
def test_a_rate_fits_what_is_trained(script: str, rate: float, fits: bool) -> None:
    found = said("foreign-rate", script, optimizer_type="AdamW", learning_rate=rate)
    assert found == [] if fits else len(found) == 1


def test_a_schedule_with_its_own_rate_is_judged_by_no_other() -> None:
    train = {"optimizer_type": "Adafactor", "optimizer_args": ["relative_step=False"]}
    assert said("foreign-rate", **train, learning_rate=1.0)
    assert not said("foreign-rate", **train, learning_rate=1.0, lr_scheduler="adafactor:5e-6")


@pytest.mark.parametrize(
    ("module", "argument", "hint"),
    [
        ("networks.lora", "conv_dim=4", None),
        ("networks.lora", "dropout=0.1", None),
        ("networks.lora", "algo=lokr", "or use lycoris.kohya."),
        ("networks.lora", "conv_dm=4", "conv_dim"),
        ("networks.dylora", "unit=4", None),
        ("networks.dylora", "use_tucker=True", "or use lycoris.kohya."),
        ("networks.oft", "enable_conv=True", None),
        ("networks.oft", "conv_dim=4", "Leave it out"),
        ("networks.lora_fa", "conv_dim=4", None),
        ("lycoris.kohya", "algo=lokr", None),
        ("lycoris.kohya", "alg=lokr", "algo"),
        ("somebody.network", "anything=1", None),
    ],
)
def test_names_that_a_network_module_does_not_look_for_are_told(
    module: str, argument: str, hint: str | None
) -> None:
    script = "sdxl_train_network.py"
    found = said("network-args-idle", script, network_module=module, network_args=[argument])
    assert [hint in text.split(" | ")[1] for text in found if hint] == [True] * bool(hint)
    assert bool(found) is bool(hint)
