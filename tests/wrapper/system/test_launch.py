from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from wrapper.system import launch

Trainer = Callable[[str], launch.Launch]


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """Turn a few lines of Python into the Launch of a trainer."""

    def make(source: str) -> launch.Launch:
        script = tmp_path / "fake trainer ü.py"
        script.write_text(source, "utf-8")
        env = {launch.RUN_MARK: str(tmp_path), "PYTHONIOENCODING": "utf-8"}
        return launch.Launch(
            (sys.executable, "-u", str(script)), tmp_path, tmp_path / "logs" / "train.log", env
        )

    return make


def test_every_line_reaches_the_log_and_the_caller(trainer: Trainer) -> None:
    job = trainer("print('1/3', '2/3', '3/3 ä', sep='\\r'); print('done', end='')")
    lines: list[str] = []
    outcome = launch.run(job, on_line=lines.append)
    assert outcome.returncode == 0
    assert lines == ["1/3", "2/3", "3/3 ä", "done"]
    assert outcome.tail == tuple(lines)
    assert job.log.read_bytes().decode().split() == ["1/3", "2/3", "3/3", "ä", "done"]


def test_a_letter_written_in_two_halves_stays_one_letter(trainer: Trainer) -> None:
    job = trainer("""\
import sys, time
out = sys.stdout.buffer
for half in (b"\\xc3", b"\\xa4\\r", b"\\nend\\xff"):
    out.write(half); out.flush(); time.sleep(0.3)
""")
    lines: list[str] = []
    launch.run(job, on_line=lines.append)
    assert lines == ["ä", "end\\xff"]


def test_a_second_launch_adds_to_the_log_and_reports_only_its_own_lines(trainer: Trainer) -> None:
    job = trainer("print('hello')")
    launch.run(job, on_line=str)
    lines: list[str] = []
    launch.run(job, on_line=lines.append)
    assert lines == ["hello"]
    assert job.log.read_text("utf-8").split() == ["hello", "hello"]


def test_a_failing_trainer_reports_its_exit_code_and_last_words(trainer: Trainer) -> None:
    outcome = launch.run(trainer("raise SystemExit('CUDA out of memory')"), on_line=str)
    assert outcome.returncode == 1
    assert outcome.tail[-1] == "CUDA out of memory"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupted_trainer_may_still_talk_and_save(trainer: Trainer) -> None:
    job = trainer("""\
import pathlib, time
try:
    print("ready")
    time.sleep(60)
except KeyboardInterrupt:
    print("saving " * 100_000)
    pathlib.Path("saved").touch()
""")

    def press_ctrl_c(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        launch.run(job, on_line=press_ctrl_c)
    assert (job.cwd / "saved").exists()
    assert job.log.read_text("utf-8").rstrip().endswith("saving")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_what_does_not_listen_is_killed_with_its_children(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "INTERRUPT_GRACE_SECONDS", 0.3)
    monkeypatch.setattr(launch, "TERMINATE_GRACE_SECONDS", 0.3)
    job = trainer("""\
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
print("ready", flush=True)
time.sleep(60)
""")

    def press_ctrl_c(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        launch.run(job, on_line=press_ctrl_c)
    assert launch.at_work(job.cwd) == []


@pytest.mark.skipif(os.name != "posix", reason="fork and kill")
def test_a_trainer_outlives_our_death_and_is_taken_up_again(trainer: Trainer) -> None:
    job = trainer("""\
import pathlib, time
for step in range(100):
    print("step", step)
    time.sleep(0.05)
    if pathlib.Path("enough").exists():
        break
print("finished")
""")
    us = os.fork()
    if us == 0:
        launch.run(job, on_line=str)
        os._exit(0)
    while not (job.log.exists() and "step 1" in job.log.read_text("utf-8")):
        time.sleep(0.05)
    os.kill(us, signal.SIGKILL)
    os.waitpid(us, 0)

    assert len(launch.at_work(job.cwd)) == 1
    (job.cwd / "enough").touch()
    lines: list[str] = []
    outcome = launch.follow(job.cwd, job.log, on_line=lines.append)
    assert outcome.returncode is None
    assert "finished" in job.log.read_text("utf-8")
    assert launch.at_work(job.cwd) == []


def test_only_processes_of_this_run_are_found(trainer: Trainer, tmp_path: Path) -> None:
    assert launch.at_work(tmp_path) == []
    assert psutil.Process().is_running()
