"""The states of a run: from which step its training can go on, and what that saves."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from patches.resume import kp_states
from wrapper.screen import progress
from wrapper.screen.progress import Step
from wrapper.watching import log_end
from wrapper.watching.findings import Kept

FOLDER = "states"
PATCH = "resume"  # which saves them
SAYS = "kohya-presets: "  # how the lines begin that the patch `resume` writes into the log
CONTINUES = f"{SAYS}continuing after "  # which a run says before it starts
STOPPED = "stopped by "  # and then that it saved a state, because a signal asked for it


@dataclass(frozen=True)
class State(Kept):
    """A whole state of training. The patch `resume` writes it beside and renames it."""

    epoch: int = 1  # from 1
    seconds: float = 0.0  # that writing it took


def whole(run: Path) -> list[State]:
    """Return the whole states of a run, the newest first."""
    return inside(run / FOLDER)


def inside(around: Path) -> list[State]:
    """Return the whole states in a folder, the newest first."""
    found = []
    for folder in around.iterdir() if around.is_dir() else ():
        try:
            table = kp_states.read(folder) if not folder.suffix else None
            if table is not None:
                found.append(_state(folder, table))
        except (ValueError, KeyError, TypeError):  # of another version, or damaged
            continue
    return sorted(found, key=lambda state: (state.saved, state.step), reverse=True)


def newest(run: Path) -> State | None:
    """Return the state that training would go on from, or None."""
    return next(iter(whole(run)), None)


def copy(around: Path, run: Path) -> None:
    """Copy the newest state of a folder into a run's own, as links where the disk is the same.

    A state can have 40 GB. It is never written to, only deleted.
    """
    newest = inside(around)[0].folder
    shutil.copytree(newest, run / FOLDER / newest.name, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that has no links
        shutil.copy2(source, target)


def last_step(log: Path) -> Step | None:
    """Return the last state of the bar of steps in a log of training, or None."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 2**20))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    bars = (line for line in reversed(log_end.split(text)) if line.startswith(progress.TRAINING))
    return next(filter(None, map(progress.read, bars)), None)


def said(state: State, log: Path) -> str:
    """Return where training goes on, as a person reads it, with what that saves."""
    last = last_step(log)
    of = f" of {last.total}" if last else ""
    text = f"after step {state.step}{of} (epoch {state.epoch}), from {FOLDER}/{state.folder.name}"
    if last and last.rate:
        text += f"; {progress.clock(state.step / last.rate)} of training need not be repeated"
    return text


def _state(folder: Path, table: dict[str, object]) -> State:
    def number(key: str) -> float:
        return float(str(table[key]))

    step, epoch, size = int(number("step")), int(number("epoch")), int(number("bytes"))
    return State(folder, step, size, number("saved"), epoch, number("seconds"))
