"""What a live watch finds, and that it finds nothing in trainings that go well."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from kohya_presets.training.settings import Settings
from tests.wrapper.watching import healthy
from wrapper.screen import progress
from wrapper.watching.findings import Finding, Kept
from wrapper.watching.live.room import MARGIN, Save
from wrapper.watching.live.training import Training
from wrapper.watching.situation import Situation

GB = 10**9
STATES = (Kept(Path("states/100"), 100), Kept(Path("states/200"), 200))


def situation(**train: object) -> Situation:
    given = {"learning_rate": 1e-6, **train}
    return Situation(Settings({"train": given, "dataset": {}}), run=Path("korra"), states=STATES)


def watch(**train: object) -> Training:
    return Training(lambda: situation(**train))


def bar(step: int, loss: float | str = 0.123, total: int = 1000) -> str:
    return f"steps:  10%|█   | {step}/{total} [10:00<1:00:00,  2.00s/it, avr_loss={loss:.3}]"


def codes(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(one.stop.code, one.action) for one in found]


def trained(watched: Training, steps: Iterable[int], *, seconds: float = 2.0) -> float:
    """Train these steps at one pace, with a tick each second; return the time at the end."""
    now = 0.0
    for step in steps:
        now += seconds
        assert watched.line(now, bar(step)) == []
        assert watched.tick(now) == []
    return now


def waited(watched: Training, now: float, seconds: float, *, tick: float = 1.0) -> list[Finding]:
    ticks = itertools.takewhile(lambda t: t <= now + seconds, itertools.count(now + tick, tick))
    return [one for at in ticks for one in watched.tick(at)]


# -- the loss


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_ten_steps_of_nan_end_the_training_and_name_a_state_from_before(loss: float) -> None:
    watched = watch()
    assert [f for step in range(150, 190) for f in watched.loss(step, 0.1 + step / 1e6)] == []
    found = [one for step in range(190, 220) for one in watched.loss(step, loss)]
    assert codes(found) == [("nan-loss", "end")]
    assert found[0].stop.state == STATES[0]  # that of step 200 holds NaN
    assert "since step 190" in found[0].stop.what
    assert "--set train.no_half_vae=true, --set train.learning_rate=5e-07" in found[0].stop.hint


def test_nan_now_and_then_ends_nothing() -> None:
    watched = watch()
    losses = [math.nan if step % 10 else 0.1 + step / 1e6 for step in range(500)]
    assert [f for step, loss in enumerate(losses) for f in watched.loss(step, loss)] == []


def test_with_accumulation_steps_count_and_not_their_parts() -> None:
    watched = watch()
    parts = [(step, loss) for step in range(9) for loss in (math.nan, 0.1, math.nan)]
    assert [f for step, loss in parts for f in watched.loss(step, loss)] == []
    assert codes(watched.loss(9, math.nan)) == [("nan-loss", "end")]


@pytest.mark.parametrize(("precision", "end"), [("bf16", True), ("no", True), ("fp16", False)])
def test_nan_in_the_bar_ends_only_what_one_nan_spoils(precision: str, end: bool) -> None:
    """fp16's scaler leaves such a step out, and the average stays NaN though training goes on."""
    watched = watch(mixed_precision=precision)
    found = [one for step in range(1, 50) for one in watched.line(step, bar(step, math.nan))]
    assert codes(found) == [("nan-loss", "end") if end else ("nan-average", "say")]


def test_twenty_equal_losses_end_the_training() -> None:
    watched = watch()
    assert [f for step in range(50) for f in watched.loss(step, 0.1 + step / 1e6)] == []
    found = [one for step in range(50, 80) for one in watched.loss(step, 0.5)]
    assert codes(found) == [("same-loss", "end")]
    assert "since step 50" in found[0].stop.what


def test_one_step_in_many_equal_parts_is_one_step() -> None:
    watched = watch()
    assert [one for _ in range(100) for one in watched.loss(7, 0.5)] == []


def test_the_same_average_for_thousands_of_steps_is_healthy() -> None:
    watched = watch()
    assert [one for n in range(1, 5000) for one in watched.line(n, bar(n, 0.123, 5000))] == []


# -- stalls


def test_no_step_for_long_is_said_once_and_that_it_goes_on() -> None:
    watched = watch()
    now = trained(watched, range(1, 40))
    assert waited(watched, now, 290) == []
    found = waited(watched, now + 290, 600)
    assert codes(found) == [("stall", "say")]
    assert "one usually takes 2 s" in found[0].stop.what
    assert "kohya-presets resume korra" in found[0].stop.hint
    assert found[0].stop.state == STATES[1]
    assert codes(watched.line(now + 900, bar(41))) == [("stall-over", "say")]
    assert watched.line(now + 902, bar(42)) == []


def test_slow_steps_get_ten_times_their_own_time() -> None:
    watched = watch()
    now = trained(watched, range(1, 40), seconds=60.0)
    assert waited(watched, now, 590) == []
    assert codes(waited(watched, now + 590, 100)) == [("stall", "say")]


@pytest.mark.parametrize(
    "line",
    [
        "saving checkpoint: /runs/korra/model/korra-000010.safetensors",
        "saving state at epoch 10",
        "2026-11-26 15:15:20 INFO     generating sample images at step: 300   train_util.py:6300",
        "kohya-presets: saving a state after step 40",
        "validation steps:   0%|          | 0/20 [00:00<?, ?it/s]",
        "                    INFO     caching latents...          train_util.py:1170",
    ],
)
def test_what_is_slow_by_its_nature_is_no_stall(line: str) -> None:
    watched = watch()
    now = trained(watched, range(1, 40))
    watched.line(now, line)
    assert waited(watched, now, 290) == []
    if "validation" not in line:  # its bar moves
        assert waited(watched, now + 290, 1400) == []


def test_bars_of_samples_are_signs_of_life() -> None:
    watched = watch()
    now = trained(watched, range(1, 40))
    for n in range(30):
        now += 100
        watched.line(now, f"  3%|▎         | {n}/30 [01:40<48:20, 100.0s/it]")
        assert waited(watched, now, 99) == []


def test_nothing_is_usual_before_the_first_steps_and_after_the_last() -> None:
    watched = watch()
    watched.line(0, bar(0))
    assert waited(watched, 0, 5000) == []
    now = 5000.0
    for step in range(1, 8):
        watched.line(now + step, bar(step))
    assert waited(watched, now + 8, 5000) == []
    watched = watch()
    now = trained(watched, range(900, 1001))
    assert waited(watched, now, 5000) == []


def test_a_machine_that_slept_made_no_stall() -> None:
    watched = watch()
    now = trained(watched, range(1, 40))
    assert watched.tick(now + 8 * 3600) == []
    assert waited(watched, now + 8 * 3600, 200) == []


# -- the disk


class Disk:
    """A disk with a training that saves its model every 100 steps."""

    def __init__(self, free: int, size: int = 7 * GB) -> None:
        self.free, self.size, self.asked = free, size, 0
        self.watched = Training(situation, saves=self.saves, free=self.look)

    def look(self) -> int:
        self.asked += 1
        return self.free

    def saves(self, step: progress.Step | None) -> list[Save]:
        done = step.done if step else 0
        return [Save("the next model", self.size, steps=100 - done % 100)]


def test_room_that_does_not_suffice_is_said_early_and_the_run_paused_late() -> None:
    disk = Disk(3 * GB)
    found = disk.watched.line(1, bar(20))
    assert codes(found) == [("disk-low", "say")]
    assert "the disk has room for 3.0 GB, but the next model needs 7.0 GB" in found[0].stop.what
    assert "Free 4.3 GB on the disk of korra" in found[0].stop.hint
    quiet = [f for n in range(21, 98) for f in disk.watched.line(n, bar(n))]
    assert quiet == []
    assert codes(disk.watched.line(98, bar(98))) == [("disk-low", "pause")]
    assert disk.watched.is_paused
    assert waited(disk.watched, 98, 7200, tick=5.0) == []
    disk.free = 7 * GB + MARGIN
    assert codes(waited(disk.watched, 7298, 10)) == [("disk-room", "go on")]
    assert not disk.watched.is_paused
    assert waited(disk.watched, 7308, 200) == []  # and the pause was no stall


def test_a_disk_that_is_full_pauses_at_once() -> None:
    disk = Disk(10 * 2**20)
    assert codes(disk.watched.tick(1)) == [("disk-low", "pause")]


def test_a_state_that_is_due_by_the_clock_counts_too() -> None:
    free, due = 3 * GB, 600.0
    watched = Training(
        situation, saves=lambda _: [Save("a state", 20 * GB, seconds=due)], free=lambda: free
    )
    assert codes(watched.tick(1)) == [("disk-low", "say")]
    due = 20.0
    assert codes(watched.tick(10)) == [("disk-low", "pause")]


def test_the_disk_is_asked_every_few_seconds_only() -> None:
    disk = Disk(100 * GB)
    waited(disk.watched, 0, 60, tick=0.1)
    assert disk.asked <= 13


# -- healthy ones


@pytest.mark.parametrize("name", healthy.LOGS)
@pytest.mark.parametrize("seconds", [0.01, 20.0])
def test_a_healthy_log_at_any_pace_finds_nothing(name: str, seconds: float) -> None:
    watched = Training(situation, saves=lambda _: [Save("a", GB, 1)], free=lambda: 9 * GB)
    now = 0.0
    for line in healthy.read(name):
        now += seconds
        assert watched.line(now, line) == []
        assert watched.tick(now) == []


def test_a_night_of_training_with_all_its_pauses_finds_nothing() -> None:
    """100 epochs of 50 steps; each is sampled and saved, with a page of the disk in between."""
    dice, now, watched = random.Random(7), 0.0, watch(mixed_precision="bf16")
    found: list[Finding] = []
    for step in range(1, 5001):
        now += dice.uniform(1.8, 2.4) + (45 if dice.random() < 0.002 else 0)
        found += watched.line(now, bar(step, 0.12, 5000)) + watched.loss(step, dice.random())
        found += watched.tick(now)
        if step % 50 == 0:
            found += watched.line(now, f"saving checkpoint: korra-{step:06}.safetensors")
            found += waited(watched, now, 400)
            now += 400
            found += watched.line(now, "generating sample images at step: 50")
            found += waited(watched, now, 200)
            now += 200
    assert found == []
