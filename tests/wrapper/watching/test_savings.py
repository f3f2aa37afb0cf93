"""The ladder of savings: the smallest change first, none that is made already, none that stops."""

from __future__ import annotations

from typing import Any

import pytest

from kohya_presets.memory import estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.problems import errors
from kohya_presets.sdscripts import releases
from kohya_presets.training import settings
from kohya_presets.training.settings import Settings
from kohya_presets.validate import everything
from kohya_presets.validate.report import Against
from patches import registry
from tests.sheets import SHIPPED_NAMES
from wrapper.system import paths
from wrapper.watching import savings
from wrapper.watching.situation import options


def made(script: str = "sdxl_train.py", **train: Any) -> Settings:
    return Settings({"train": train, "dataset": {}}, script)


def changes(s: Settings, stage: str = "train") -> list[dict[str, Any]]:
    return [dict(saving.changes) for saving in savings.of(s, stage)]


def test_what_changes_the_training_least_comes_first() -> None:
    s = made(optimizer_type="AdamW", train_batch_size=4, gradient_accumulation_steps=2)
    assert changes(s) == [
        {"train.gradient_checkpointing": True},
        {"train.sdpa": True},
        {"train.train_batch_size": 1, "train.gradient_accumulation_steps": 8},
        {"train.optimizer_type": "AdamW8bit"},
    ]
    assert [saving.keeps_state for saving in savings.of(s)] == [True, True, False, False]


def test_a_batch_of_the_dataset_is_changed_where_it_is_set() -> None:
    s = Settings({"train": {}, "dataset": {"batch_size": 3}})
    batch = {"dataset.batch_size": 1, "train.gradient_accumulation_steps": 3}
    assert batch in changes(s)


@pytest.mark.parametrize("attention", ["sdpa", "xformers", "mem_eff_attn"])
def test_what_is_on_stays_as_it_is(attention: str) -> None:
    s = made(optimizer_type="AdamW8bit", gradient_checkpointing=True, **{attention: True})
    assert changes(s) == []


@pytest.mark.parametrize(
    ("name", "eight"),
    [
        ("AdamW", "AdamW8bit"),
        ("Lion", "Lion8bit"),
        ("SGDNesterov", "SGDNesterov8bit"),
        ("PagedAdamW32bit", "PagedAdamW8bit"),
        ("Adafactor", None),
        ("Prodigy", None),
        ("AdaCoor", None),
        ("PagedLion8bit", None),
    ],
)
def test_the_same_optimizer_in_8_bits_if_there_is_one(name: str, eight: str | None) -> None:
    found = [c["train.optimizer_type"] for c in changes(made(optimizer_type=name)) if len(c) == 1
             and "train.optimizer_type" in c]  # fmt: skip
    assert found == ([eight] if eight else [])


def test_arguments_that_it_does_not_take_keep_an_optimizer() -> None:
    s = made(optimizer_type="AdamW", optimizer_args=["fused=True"])
    assert all("train.optimizer_type" not in change for change in changes(s))


def test_a_tool_goes_to_main_memory() -> None:
    s = Settings({"train": {}, "dataset": {}, "extract": {"device": "cuda"}, "resize": {}})
    assert changes(s, "extract") == [{"extract.device": "cpu"}]
    assert changes(s, "resize") == [{"resize.device": "cpu"}]
    on_cpu = Settings({"train": {}, "dataset": {}, "extract": {"device": "cpu"}})
    assert changes(on_cpu, "extract") == []


def test_the_first_that_fit_a_gpu_by_the_estimate_are_enough(shipped: Catalogue) -> None:
    additions = registry.additions(paths.user_patches())
    s = settings.of_preset(shipped.load("skynet"), releases.DEFAULT, additions)
    every = savings.of(s)
    counts = range(1, len(every) + 1)
    needs = [_gib(savings.applied(s, every[:count])) / savings.WASTE for count in counts]
    for gpu in (*needs, 79.0):
        enough = next(count for count in counts if needs[count - 1] <= gpu + 0.01)
        assert savings.smallest(s, gpu_gib=gpu + 0.01) == every[:enough]
    assert len(savings.smallest(s, gpu_gib=min(needs) + 0.01)) > 1
    assert savings.smallest(s, gpu_gib=4) == every[:1]  # none of them is enough
    assert savings.smallest(s) == every[:1]
    assert savings.smallest(savings.applied(s, savings.of(s))) == ()


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_saving_of_a_shipped_preset_is_a_valid_preset(name: str, shipped: Catalogue) -> None:
    additions = registry.additions(paths.user_patches())
    found = shipped.load(name)
    s = settings.of_preset(found, releases.best_for(found.releases), additions)
    against = Against(s.release, additions=additions)
    for count in range(len(savings.of(s)) + 1):
        made = {k: v for saving in savings.of(s)[:count] for k, v in saving.changes.items()}
        given = [options({key: value}).removeprefix("--set ") for key, value in made.items()]
        report = everything.preset(name, shipped, against, overrides=given)
        assert errors(report.problems) == (), given


def _gib(s: Settings) -> float:
    needs = estimate.of(s)
    assert needs is not None
    return needs.total / estimate.GIB


def test_an_average_moves_to_main_memory_first(shipped: Catalogue) -> None:
    additions = registry.additions(paths.user_patches())
    s = settings.of_preset(shipped.load("a100-ema"), releases.DEFAULT, additions)
    assert changes(s)[0] == {"train.ema_device": "cpu"}
    assert {"train.ema_device": "cpu"} not in changes(made())
