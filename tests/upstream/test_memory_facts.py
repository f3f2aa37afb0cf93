"""The facts about memory are the real modules', and estimates add up to a real step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.memory import estimate
from kohya_presets.memory import parts as memory_parts
from kohya_presets.training.settings import Settings
from wrapper.checkouts.checkout import Checkout
from wrapper.planning import trainer
from wrapper.screen.talk import Talk
from wrapper.system import proc

MEASURE = Path(__file__).parents[2] / "tools" / "memory" / "measure.py"
RELEASE = "v0.10.1"
OPTIMIZERS = ("adamw8bit", "lion", "adafactor")

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.every_release,
]

Measure = Callable[..., Any]


@pytest.fixture
def measure(upstream: Callable[[str], Checkout]) -> Measure:
    """Return a function that runs the tool with these words and gives what it printed."""
    checkout = upstream(RELEASE)
    python = trainer.environment_for(checkout, None, Talk()).python

    def run(*words: object) -> Any:
        env = {"PYTHONPATH": str(checkout.scripts), "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"}
        said = proc.run([python, MEASURE, *map(str, words)], env=env)
        return json.loads(said.stdout.splitlines()[-1])

    return run


def test_the_facts_are_those_of_the_real_modules_and_optimizers(measure: Measure) -> None:
    facts = json.loads(memory_parts.FACTS.read_text("utf-8"))
    found = measure("counts", *OPTIMIZERS)
    for key in ("parameters", "trained", "largest", "lora"):
        assert found[key] == facts[key]
    for name, costs in found["optimizers"].items():
        assert costs == facts["optimizers"][name], name


@pytest.mark.parametrize(
    ("precision", "attention", "checkpointing", "size"),
    [
        ("fp16", "plain", "off", (1024, 1024, 1)),
        ("fp16", "efficient", "on", (896, 1152, 2)),
        ("full_bf16", "plain", "on", (640, 640, 4)),
    ],
)
def test_an_estimate_is_within_one_percent_of_a_real_step(
    precision: str,
    attention: str,
    checkpointing: str,
    size: tuple[int, int, int],
    measure: Measure,
) -> None:
    train = {
        "optimizer_type": "Lion",
        "train_text_encoder": True,
        "mixed_precision": precision.removeprefix("full_"),
        "full_bf16": precision == "full_bf16",
        "sdpa": attention == "efficient",
        "gradient_checkpointing": checkpointing == "on",
        "cache_latents": True,
    }
    width, height, batch = size
    dataset = {"resolution": [width, height], "batch_size": batch}
    found = estimate.of(Settings({"train": train, "dataset": dataset}))
    assert found is not None
    moments = {moment.name: moment for moment in found.moments}
    real = measure("step", precision, attention, checkpointing, *size)

    assert moments["step"].parts["gradients"] == real["gradients"]
    always = sum(moments["step"].parts[part] for part in ("weights", "optimizer state", "overhead"))
    beside = {name: moment.total - always for name, moment in moments.items()}
    close = 0.01 * found.total
    assert beside["forward"] == pytest.approx(real["copies"] + real["top"], abs=close)
    highest = max(beside["forward"], beside["backward"], real["gradients"])
    assert highest == pytest.approx(real["highest"], abs=close)
