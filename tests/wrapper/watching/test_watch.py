"""The watch on real processes, through the door that starts them."""

from __future__ import annotations

import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kohya_presets.training.settings import Settings
from wrapper.system import launch
from wrapper.system.launch import RUN_MARK, Launch
from wrapper.watching import pauses
from wrapper.watching.findings import Kept
from wrapper.watching.live.room import Save
from wrapper.watching.situation import Situation
from wrapper.watching.watch import Watch

GB = 10**9
STATES = (Kept(Path("states/1"), 1), Kept(Path("states/9"), 9))
CHILD = """
import subprocess, sys, time
if "parent" in sys.argv:  # as accelerate's launcher
    sys.exit(subprocess.call([sys.executable, *sys.argv[:-1]]))
loss, last = sys.argv[1], int(sys.argv[2])
for step in range(1, last + 1):
    print(f"steps: 1%| | {step}/{last} [00:01<00:01, 9.00it/s, avr_loss={loss}]", flush=True)
    time.sleep(0.05)
print("saved", flush=True)
"""


def child(folder: Path, *words: str) -> Launch:
    script = folder / "child.py"
    script.write_text(textwrap.dedent(CHILD), "utf-8")
    env = {RUN_MARK: str(folder)}
    return Launch((sys.executable, str(script), *words), folder, folder / "train.log", env)


def situation() -> Situation:
    train = {"mixed_precision": "bf16", "learning_rate": 1e-6}
    return Situation(Settings({"train": train, "dataset": {}}), states=STATES)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_nan_ends_the_trainer_and_all_it_started_at_once(tmp_path: Path) -> None:
    said: list[str] = []
    watch = Watch(situation, said.append)
    planned = child(tmp_path, "nan", "400", "parent")
    outcome = launch.run(planned, on_line=watch.line, on_tick=watch.tick)
    assert outcome.seconds < 15
    assert launch.at_work(tmp_path) == []
    assert "saved" not in planned.log.read_text("utf-8")
    stop = watch.why(outcome.returncode, outcome.tail)
    assert stop is not None
    assert stop is watch.ended
    assert stop.code == "nan-loss"
    assert stop.state is None  # both states are from after the first NaN
    assert "loss is NaN" in said[0]


def test_a_run_without_room_stands_still_until_there_is_some(tmp_path: Path) -> None:
    said: list[str] = []
    free = [9 * GB]
    steps: list[int] = []

    def saves(step: object) -> list[Save]:
        return [Save("the next model", 7 * GB, steps=1)]

    watch = Watch(situation, said.append, saves=saves, free=lambda: free[0])
    paused_at: list[float] = []

    def tick(processes: launch.Processes) -> None:
        if len(steps) >= 5 and not paused_at:
            free[0] = GB
        watch.tick(processes)
        if said and not paused_at:
            paused_at.append(time.monotonic())
            assert pauses.stand_still(processes())
        if paused_at and time.monotonic() - paused_at[0] > 1:
            free[0] = 9 * GB

    def line(text: str) -> None:
        steps.append(len(steps))
        watch.line(text)

    outcome = launch.run(child(tmp_path, "0.1", "60", "parent"), on_line=line, on_tick=tick)
    assert outcome.returncode == 0
    assert "paused: the disk has room for 1.0 GB" in said[0]
    assert "goes on" in said[1]
    assert outcome.seconds > 4  # three of training, and the pause


@pytest.mark.skipif(launch.WINDOWS, reason="no signals to send")
def test_a_paused_run_can_be_stopped(tmp_path: Path) -> None:
    def tick(processes: launch.Processes) -> None:
        if len(found := processes()) > 1:
            assert pauses.pause(found)
            raise KeyboardInterrupt

    started = time.monotonic()
    planned = child(tmp_path, "0.1", "400", "parent")
    with pytest.raises(KeyboardInterrupt):
        launch.run(planned, on_line=lambda line: None, on_tick=tick)
    assert time.monotonic() - started < 15
    assert launch.at_work(tmp_path) == []


@pytest.mark.skipif(launch.WINDOWS, reason="no process that outlives its starter so")
def test_a_run_whose_watcher_died_in_a_pause_goes_on_with_the_next(tmp_path: Path) -> None:
    planned = child(tmp_path, "0.1", "40")
    running = threading.Thread(target=launch.run, args=(planned,), kwargs={"on_line": print})
    running.start()
    until(lambda: bool(launch.at_work(tmp_path)))
    for process in launch.at_work(tmp_path):
        process.suspend()
    said: list[str] = []
    watch = Watch(situation, said.append)
    launch.follow(tmp_path, planned.log, on_line=watch.line, on_tick=watch.tick)
    running.join(20)
    assert said == ["the run was paused, and goes on"]
    assert "saved" in planned.log.read_text("utf-8")


def test_a_trainer_that_was_killed_is_said_to_be(tmp_path: Path) -> None:
    watch = Watch(situation, print)

    def kill(processes: launch.Processes) -> None:
        watch.tick(processes)
        for process in processes()[1:]:
            process.kill()

    outcome = launch.run(child(tmp_path, "0.1", "400", "parent"), on_line=print, on_tick=kill)
    stop = watch.why(outcome.returncode if outcome.returncode != 247 else -9, outcome.tail)
    assert stop is not None
    assert stop.code in ("killed", "killed-memory")
    assert psutil.virtual_memory().total > 0
    assert "were free" in stop.cause
