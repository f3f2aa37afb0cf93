"""The facts about arguments: read from sources, several versions together."""

from __future__ import annotations

import json
from pathlib import Path

from kohya_presets.sdscripts import arguments
from tools import make_arguments

OPTIMIZER = """\
class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, {}):
        pass
class Wrapper:
    def __init__(self, base, other=1):
        pass
class Any(Optimizer):
    def __init__(self, params, **more):
        pass
"""
SCHEDULES = """\
def get_cosine(optimizer, num_warmup_steps, {}):
    pass
TYPE_TO_SCHEDULER_FUNCTION = {{SchedulerType.COSINE: get_cosine, SchedulerType.OTHER: get_cosine}}
"""
NETWORK = """\
from .base import more
def create_network(multiplier, **kwargs):
    a, b = kwargs.get("conv_dim"), kwargs["unit"]
    return "algo" in kwargs, other.get("no")
"""


def folder(at: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(text, "utf-8")
    return at


def test_versions_are_read_together(tmp_path: Path) -> None:
    optimizer, schedule = "lion_pytorch/lion_pytorch.py", "diffusers/optimization.py"
    old = {optimizer: OPTIMIZER.format("betas=1"), schedule: SCHEDULES.format("num_cycles")}
    new = {optimizer: OPTIMIZER.format("*, eps=1"), schedule: SCHEDULES.format("num_cycles=1")}
    new |= {"networks/dylora.py": NETWORK, "networks/base.py": 'kwargs.get("more")'}
    new |= {"networks/merge.py": 'kwargs.get("none")', "lion_pytorch-0.2.dist-info/METADATA": ""}
    found = make_arguments.together([folder(tmp_path / "a", old), folder(tmp_path / "b", new)])
    assert found["optimizers"] == {"lion_pytorch.Lion": {"takes": ["betas", "eps"]}}
    cosine = {"takes": ["num_cycles", "num_warmup_steps"], "needs": ["num_warmup_steps"]}
    assert found["schedules"] == {"cosine": cosine}
    assert found["networks"] == {"networks.dylora": {"takes": ["algo", "conv_dim", "more", "unit"]}}
    assert found["read"] == {"lion_pytorch": ["0.2"]}


def test_the_file_says_what_was_read() -> None:
    facts = json.loads(arguments.FACTS.read_text("utf-8"))
    assert facts["generator"] == "tools/make_arguments.py"
    assert {"torch", "transformers", "diffusers", "bitsandbytes"} <= set(facts["read"])
