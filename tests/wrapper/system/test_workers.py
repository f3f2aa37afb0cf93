"""Many things are done by workers; one that is killed takes nothing with it but its own thing."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from wrapper.system import proc, workers


def double(thing: int) -> int:
    if thing == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * thing


def slowly(thing: int) -> int:
    time.sleep(0.05)
    return thing


def refuse(thing: int) -> int:
    raise ValueError(thing)


def lost(thing: int) -> int:
    return -thing


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_thing_that_kills_its_worker_is_lost_and_no_other() -> None:
    found = sorted(workers.each(double, range(40), lost=lost, workers=2))
    assert found == sorted([-13, *(2 * n for n in range(40) if n != 13)])


@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_each_thing_is_done_once(count: int) -> None:
    assert sorted(workers.each(slowly, range(count), lost=lost, workers=2)) == list(range(count))


def test_an_error_passes_through() -> None:
    with pytest.raises(ValueError, match=r"\d"):
        list(workers.each(refuse, range(20), lost=lost, workers=2))


def test_few_things_need_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_pool", None)
    assert list(workers.each(slowly, range(3), lost=lost, workers=2)) == [0, 1, 2]


def test_workers_leave_ctrl_c_to_the_process_that_asked_them() -> None:
    with workers._pool(1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


INTERRUPTED = """
import sys
from tests.wrapper.system.test_workers import lost, slowly
from wrapper.system import workers

if __name__ == "__main__":
    try:
        for thing in workers.each(slowly, range(10_000), lost=lost, workers=2):
            print(thing, flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_stops_the_workers_too(tmp_path: Path) -> None:
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED, "utf-8")
    root = str(Path(__file__).parents[3])
    code = (
        "import os, signal, subprocess, sys\n"
        "made = subprocess.Popen([sys.executable, sys.argv[1]], stdout=-1, process_group=0)\n"
        "made.stdout.readline()\n"
        "os.killpg(made.pid, signal.SIGINT)\n"
        "print(made.communicate(timeout=60)[0].decode().split()[-1])\n"
    )
    done = proc.run([sys.executable, "-c", code, str(script)], env={"PYTHONPATH": root})
    assert done.stdout.split() == ["stopped"]
