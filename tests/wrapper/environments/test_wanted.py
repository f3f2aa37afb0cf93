"""Each setting that needs a package of its own has it looked for in the trainer environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.sdscripts import optimizers
from wrapper.environments import environment, kp_probe, wanted
from wrapper.environments.environment import Probe


def modules(**train: Any) -> list[str]:
    return [wish.module for wish in wanted.by(train)]


@pytest.mark.parametrize("optimizer", optimizers.EVERY.values(), ids=lambda o: o.name)
def test_the_package_of_every_optimizer_is_looked_for(optimizer: optimizers.Optimizer) -> None:
    needed = [optimizer.package] if optimizer.package else []
    assert modules(optimizer_type=optimizer.name) == needed
    assert modules(optimizer_type=optimizer.name.lower()) == needed
    assert {*needed} <= {*kp_probe.IMPORTED}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({}, []),
        ({"optimizer_type": "pytorch_optimizer.CAME"}, ["pytorch_optimizer:CAME"]),
        ({"optimizer_type": "bitsandbytes.optim.AdEMAMix"}, ["bitsandbytes.optim:AdEMAMix"]),
        ({"optimizer_type": "Muon"}, ["torch.optim:Muon"]),
        ({"optimizer_type": "AdaCoor"}, []),  # of a patch
        ({"lr_scheduler_type": "LoraEasyCustomOptimizer.Rex"}, ["LoraEasyCustomOptimizer:Rex"]),
        ({"lr_scheduler_type": "StepLR"}, []),
        ({"dataset_class": "mine.Dataset"}, ["mine:Dataset"]),
        ({"use_8bit_adam": True}, ["bitsandbytes"]),
        ({"use_8bit_adam": False, "use_lion_optimizer": True}, ["lion_pytorch"]),
        ({"optimizer_schedulefree_wrapper": True}, ["schedulefree"]),
        ({"network_module": "lycoris.kohya"}, ["lycoris.kohya"]),
        ({"network_module": "networks.lora"}, []),
        ({"log_with": "all", "logging_dir": "x"}, ["tensorboard", "wandb"]),
        ({"logging_dir": "x"}, ["tensorboard"]),
        ({"deepspeed": True}, ["deepspeed"]),
    ],
)
def test_other_settings_that_need_a_module(train: dict[str, Any], expected: list[str]) -> None:
    assert modules(**train) == expected


def test_modules_are_imported_by_the_trainers_python_beside_the_scripts(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Optimizer: ...\n", "utf-8")
    python, before = Path(sys.executable), Probe("3.11", {}, {"xformers": "no"})
    names = ["mine:Optimizer", "json:JSONDecoder", "mine:Missing", "gone.there:Class"]
    found = environment.with_modules(before, python, names, tmp_path)
    assert found.broken == {
        "xformers": "no",
        "mine:Missing": "AttributeError: module 'mine' has no attribute 'Missing'",
        "gone.there:Class": "ModuleNotFoundError: No module named 'gone'",
    }
    assert environment.with_modules(before, Path("none"), ["prodigyopt"], tmp_path) is before
