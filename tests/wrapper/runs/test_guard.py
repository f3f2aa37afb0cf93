"""A guard on a stage of a run, with the fake trainer as its process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets import preset
from kohya_presets.presets.catalogue import Catalogue
from tests.wrapper.runs import faked
from wrapper.runs import failures
from wrapper.runs.guard import Guard
from wrapper.runs.manifest import Run, Stage
from wrapper.system import launch
from wrapper.watching.findings import Kept
from wrapper.watching.notify import Notices


class News(Notices):
    """Notices that are kept and not sent."""

    def __init__(self) -> None:
        super().__init__(None, "korra", print)
        self.sent: list[tuple[str, str]] = []

    def send(self, event: Any, text: str) -> None:
        self.sent.append((event, text))


def run_of(folder: Path, shipped: Catalogue, *options: str) -> tuple[Run, Stage]:
    run = faked.new(folder, {"train": options}, stages=("train",))
    made = shipped.load("skynet", overrides=("train.xformers=true",))
    (folder / failures.PRESET).write_text(preset.to_toml(made), "utf-8")
    stage = run.stages[0]
    stage.makes.parent.mkdir(parents=True)
    return run, stage


def carried_out(guard: Guard, stage: Stage) -> launch.Outcome:
    return launch.run(stage.launch, on_line=guard.line, on_tick=guard.tick)


def test_the_answer_is_about_the_preset_of_the_run(tmp_path: Path, shipped: Catalogue) -> None:
    raised = ("--say=Traceback (most recent call last):", "--exit-code=1", "--makes=nothing")
    said = "--say=ImportError: No xformers / xformersがインストールされていないようです"
    run, stage = run_of(tmp_path / "run", shipped, *raised, said)
    states = [Kept(tmp_path / "s", 40)]
    guard = Guard(run, stage, print, states=lambda: states)
    outcome = carried_out(guard, stage)
    stop = guard.why(outcome)
    assert stop is not None
    assert "--set train.xformers=unset and --set train.sdpa=true" in stop.hint
    assert stop.state == states[0]
    at = failures.situation(run, stage)
    assert at.train("xformers") is True
    assert at.settings is not None
    assert at.settings.training.optimizer == "adamw"


def test_a_healthy_stage_is_left_alone(tmp_path: Path, shipped: Catalogue) -> None:
    said: list[str] = []
    run, stage = run_of(tmp_path / "run", shipped, "--makes=model")
    guard = Guard(run, stage, said.append)
    assert carried_out(guard, stage).returncode == 0
    assert said == []


def test_milestones_and_findings_are_news(tmp_path: Path, shipped: Catalogue) -> None:
    run, stage = run_of(tmp_path / "run", shipped)
    news = News()
    guard = Guard(run, stage, print, notices=news, model_bytes=10**18)
    for step in (1, 24, 26, 60):
        guard.line(f"steps: 1%| | {step}/100 [10:00<1:00:00,  2.00s/it, avr_loss=0.1]")
    guard.tick(lambda: [])
    events = [event for event, _ in news.sent]
    assert events == ["milestone", "milestone", "failure"]
    assert "train 25 % (26 of 100 steps, 1:00:00 left)" in news.sent[0][1]
    assert "the next model needs" in news.sent[2][1]


@pytest.mark.parametrize(("due", "paused"), [(600, False), (10, True)])
def test_a_state_that_is_due_soon_needs_room(
    due: float, paused: bool, tmp_path: Path, shipped: Catalogue
) -> None:
    run, stage = run_of(tmp_path / "run", shipped)
    made = shipped.load("skynet")
    timed = replace(made, train={**made.train, "state_every_minutes": 20}, patches=("resume",))
    (run.folder / failures.PRESET).write_text(preset.to_toml(timed), "utf-8")
    said: list[str] = []

    def states() -> Sequence[Kept]:
        return [Kept(tmp_path / "s", 40, 10**18, time.time() - 20 * 60 + due)]

    guard = Guard(run, stage, said.append, states=states)
    guard.tick(lambda: [])
    assert "the next state needs" in said[-1]
    assert ("paused" in said[-1]) is paused


def test_of_a_lora_nothing_is_known_before_the_first(tmp_path: Path, shipped: Catalogue) -> None:
    run, stage = run_of(tmp_path / "run", shipped)
    base = tmp_path / "base.safetensors"
    base.write_bytes(b"x" * 10)
    run = replace(run, facts={"base": {"file": str(base)}})
    step = "steps: 1%| | 99/100 [10:00<1:00:00,  2.00s/it, avr_loss=0.1]"
    for expects, known in (("a LoRA", 0), ("an SDXL checkpoint", 1)):
        guard = Guard(run, replace(stage, expects=expects), print)
        guard.line(step)
        assert len(guard._saves(guard._watch._training.step)) == known
