"""Start or resume a run in a process of its own, watch it, wait for the moment to kill."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from kohya_presets.errors import UserError
from wrapper.runs import manifest
from wrapper.system import launch

STAGES = ("miniature", "train", "extract", "resize")
PATIENCE_SECONDS = 120


def states(folder: Path) -> dict[str, str]:
    return {stage.name: stage.state for stage in manifest.read(folder).stages}


def started(folder: Path) -> dict[str, str | None]:
    return {stage.name: stage.started for stage in manifest.read(folder).stages}


def begin(runs: Path, *words: str) -> psutil.Popen:
    """Start a rehearsal of skynet in a process of its own, as a user does."""
    return _typed(runs.parent / "begun.log", "rehearse", "skynet", "--runs", str(runs), *words)


def resume(folder: Path) -> psutil.Popen:
    """Carry a run out that is begun or not, in a process of its own, as a user does.

    A run of the fake trainer cannot be planned again: its commands are those of its manifest.
    """
    unplanned = "from wrapper.planning import again; from wrapper.runs import manifest; "
    unplanned += "again.ready = lambda folder, **_: manifest.read(folder); "
    return _typed(folder.parent / "resumed.log", "resume", str(folder), before=unplanned)


def wait_for(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def running(folder: Path, stage: str) -> bool:
    try:
        return states(folder)[stage] == "running" and bool(launch.at_work(folder))
    except UserError:
        return False


def kill_trainer(folder: Path) -> None:
    """Kill every process at work for a run."""
    for process in launch.at_work(folder):
        process.kill()
    wait_for(lambda: not launch.at_work(folder))


def finished(folder: Path, before: str) -> list[str]:
    """Return the stages that are done: all those before the stage `before`, and no other."""
    done = [name for name, state in states(folder).items() if state == "done"]
    assert done == list(STAGES[: STAGES.index(before)])
    return done


def _typed(log: Path, *words: str, before: str = "") -> psutil.Popen:
    code = f"{before}from wrapper.cli import main; main()"
    with log.open("wb") as said:
        return psutil.Popen([sys.executable, "-c", code, *words], stdout=said, stderr=said)
