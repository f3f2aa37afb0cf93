from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kohya_presets.errors import UserError
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


SAVING = """\
import os, pathlib, signal, subprocess, sys, time
if "trainer" not in sys.argv:  # accelerate's launcher: it ends at once when it is told to
    child = subprocess.Popen([sys.executable, "-u", __file__, "trainer"])
    sys.exit(child.wait())
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
print("ready", os.getpgid(0), os.getppid())
while not asked:
    time.sleep(0.02)
time.sleep(0.6)
pathlib.Path("saved").touch()
print("stopped by SIGTERM")
sys.exit(85)
"""


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize("whom", ["all of its processes", "its launcher alone"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_trainer_whose_launcher_is_killed_may_still_save(
    whom: str, number: signal.Signals, trainer: Trainer
) -> None:
    if number == signal.SIGKILL and whom != "its launcher alone":
        pytest.skip("nobody can save then")
    lines: list[str] = []

    def told(line: str) -> None:
        lines.append(line)
        if line.startswith("ready"):
            group, launcher = map(int, line.split()[1:])
            if whom == "its launcher alone":
                os.kill(launcher, number)
            else:
                os.killpg(group, number)

    job = trainer(SAVING)
    outcome = launch.run(job, on_line=told, saves=True)
    assert (job.cwd / "saved").exists()
    assert outcome.returncode == -number
    assert lines[-1] == outcome.tail[-1] == "stopped by SIGTERM"
    assert launch.at_work(job.cwd) == []


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_a_trainer_may_save_where_its_launcher_and_we_are_told_to_end(trainer: Trainer) -> None:
    def told(line: str) -> None:
        if line.startswith("ready"):
            group, launcher = map(int, line.split()[1:])
            os.killpg(group, signal.SIGTERM)
            psutil.wait_procs([psutil.Process(launcher)], timeout=5)
            raise KeyboardInterrupt  # as a SIGTERM of ours does

    job = trainer(SAVING)
    with pytest.raises(KeyboardInterrupt):
        launch.run(job, on_line=told, saves=True)
    assert (job.cwd / "saved").exists()
    assert launch.at_work(job.cwd) == []


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_what_a_trainer_that_crashed_leaves_behind_is_ended_at_once(trainer: Trainer) -> None:
    job = trainer("""\
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
sys.exit(1)
""")
    outcome = launch.run(job, on_line=str, saves=True)
    assert (outcome.returncode, outcome.seconds < 20) == (1, True)
    psutil.wait_procs(launch.at_work(job.cwd), timeout=5)  # the kill takes its moment
    assert launch.at_work(job.cwd) == []


def test_only_processes_of_this_run_are_found(trainer: Trainer, tmp_path: Path) -> None:
    assert launch.at_work(tmp_path) == []
    assert psutil.Process().is_running()


@pytest.mark.parametrize("gone", ["the program", "the folder"])
def test_what_cannot_start_is_an_error_that_says_what_is_missing(gone: str, tmp_path: Path) -> None:
    program = tmp_path / "no python" if gone == "the program" else Path(sys.executable)
    folder = tmp_path / "no folder" if gone == "the folder" else tmp_path
    job = launch.Launch((str(program),), folder, tmp_path / "log")
    with pytest.raises(UserError, match="cannot start") as caught:
        launch.run(job, on_line=str)
    assert ("no folder" if gone == "the folder" else "no python") in str(caught.value)


class FakeProcess:
    """A process as `stop` sees one: it notes what it is asked, and ends at `terminate`."""

    def __init__(self, pid: int, parent: int, children: tuple[FakeProcess, ...] = ()) -> None:
        self.pid, self._parent, self._children = pid, parent, children
        self.asked: list[object] = []

    def ppid(self) -> int:
        return self._parent

    def children(self, recursive: bool) -> tuple[FakeProcess, ...]:
        return self._children

    def send_signal(self, number: object) -> None:
        self.asked.append(number)
        if number == "break" and self._parent != 1:
            raise OSError(87, "no group of that number")

    def terminate(self) -> None:
        self.asked.append("terminate")

    def kill(self) -> None:
        self.asked.append("kill")

    def resume(self) -> None:
        """Go on, if it was paused: nothing that it could refuse."""


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `launch` take this system for Windows; no process obeys before it is terminated."""
    monkeypatch.setattr(launch, "WINDOWS", True)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", "break", raising=False)

    def waited(family: set[FakeProcess], timeout: float) -> tuple[list[object], list[FakeProcess]]:
        return [], [process for process in family if "terminate" not in process.asked]

    monkeypatch.setattr(psutil, "wait_procs", waited)
    monkeypatch.setattr(
        psutil.Process, "terminate", FakeProcess.terminate
    )  # asked through the class
    monkeypatch.setattr(psutil.Process, "kill", FakeProcess.kill)


@pytest.mark.parametrize("seen", ["the leader", "every marked process"])
def test_on_windows_a_group_is_asked_through_its_leader_and_all_are_ended(
    seen: str, windows: None
) -> None:
    workers = (FakeProcess(12, 11), FakeProcess(13, 11))
    trainer = FakeProcess(11, 10, workers)
    leader = FakeProcess(10, 1, (trainer, *workers))
    everyone = [trainer, leader, *workers]
    launch.stop([leader] if seen == "the leader" else everyone, group=10)  # type: ignore
    assert leader.asked == ["break", "terminate"]
    for other in (trainer, *workers):
        assert other.asked == ["terminate"], "a console has no group of that number"


def test_a_trainer_that_saves_gets_the_word_and_the_time_for_it(
    windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def waited(family: set[FakeProcess], timeout: float) -> tuple[list[object], list[FakeProcess]]:
        given.append(timeout)
        return [], []

    monkeypatch.setattr(psutil, "wait_procs", waited)
    trainer = FakeProcess(10, 1)
    launch.stop([trainer], group=10, saves=True)  # type: ignore[list-item]
    assert trainer.asked == ["break"]
    monkeypatch.setattr(launch, "WINDOWS", False)
    other = FakeProcess(10, 1)
    launch.stop([other], saves=True)  # type: ignore[list-item]
    assert other.asked == ["terminate"]
    assert given == [launch.SAVE_GRACE_SECONDS] * 2


def test_on_windows_a_process_of_another_console_is_ended_too(windows: None) -> None:
    foreign = FakeProcess(10, 2)  # which the console refuses to ask
    launch.stop([foreign])  # type: ignore[list-item]
    assert foreign.asked == ["break", "terminate"]


@pytest.mark.parametrize("system", ["windows", "posix"])
def test_our_ctrl_c_does_not_reach_the_trainer_by_itself(
    system: str, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, object] = {}

    def popen(argv: object, **options: object) -> object:
        started.update(options)
        raise FileNotFoundError(2, "not started")

    monkeypatch.setattr(launch, "WINDOWS", system == "windows")
    monkeypatch.setattr("subprocess.CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    monkeypatch.setattr("subprocess.Popen", popen)
    with pytest.raises(UserError, match="not started"):
        launch.run(trainer(""), on_line=str)
    found = (started["creationflags"], started["start_new_session"])
    assert found == ((512, False) if system == "windows" else (0, True))
