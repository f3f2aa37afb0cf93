"""A run's time line: when each attempt began and ended, what was saved, what stopped it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wrapper.reports.gather import Gathered
from wrapper.runs.manifest import Stage
from wrapper.system import sizes

Kind = Literal["start", "saved", "warning", "stop", "end", "note"]
MOST = 200  # moments in the table: the others are counted
_GRAVE = (
    "warning",
    "stopped",
    "interrupted",
    "NaN",
    "could not",
    "fail",
    "paused",
    "killed",
    "error",
)


@dataclass(frozen=True)
class Moment:
    """Something that happened at a time, in seconds since 1970."""

    at: float
    kind: Kind
    text: str


@dataclass(frozen=True)
class Span:
    """An attempt at a stage: from when to when it ran; `guessed` is set where its end is."""

    stage: str
    number: int  # of the attempt, from 1
    begin: float
    end: float
    guessed: bool = False


def moments(found: Gathered) -> list[Moment]:
    """Return what happened, the first first."""
    every = [*_starts(found), *_saved(found), *_said(found), *_ends(found)]
    return sorted(every, key=lambda moment: (moment.at, moment.kind != "end"))


def shown(every: Sequence[Moment]) -> tuple[list[Moment], int]:
    """Return at most so many moments, and how many saves were left out for that."""
    if len(every) <= MOST:
        return [*every], 0
    others = [moment for moment in every if moment.kind != "saved"][-MOST:]
    saved = [moment for moment in every if moment.kind == "saved"]
    kept = saved[-max(1, MOST - len(others)) :]
    return sorted([*others, *kept], key=lambda m: m.at), len(every) - len(others) - len(kept)


def spans(found: Gathered) -> list[Span]:
    """Return the attempts at each stage."""
    return [span for stage in found.run.stages for span in _spans(found, stage)]


def when(at: float) -> str:
    """Return a time as "2026-11-27 19:10:42 UTC"."""
    moment = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def seconds(text: str | None) -> float | None:
    """Return a time of run.toml in seconds since 1970; None: it has none."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def _starts(found: Gathered) -> Iterator[Moment]:
    for span in spans(found):
        again = f", attempt {span.number}" if span.number > 1 else ""
        yield Moment(span.begin, "start", f"{span.stage} started{again}")


def _saved(found: Gathered) -> Iterator[Moment]:
    for state in found.states:
        took = f", written in {state.seconds:.1f} s" if state.seconds else ""
        where = f"state of step {state.step} (epoch {state.epoch})"
        yield Moment(state.saved, "saved", f"{where} saved, {sizes.said(state.size)}{took}")
    for made in found.made:
        yield Moment(made.written, "saved", f"{made.name} saved, {sizes.said(made.size)}")


def _said(found: Gathered) -> Iterator[Moment]:
    known = tuple(f"keep: {made.name}:" for made in found.made)
    for line in found.said:
        if line.text.startswith(known):  # a LoRA that is told of as saved
            continue
        yield Moment(line.at, "warning" if _is_grave(line.text) else "note", line.text)


def _is_grave(text: str) -> bool:
    return any(word in text for word in _GRAVE)


def _ends(found: Gathered) -> Iterator[Moment]:
    for stage in found.run.stages:
        end = seconds(stage.finished)
        if end is None:
            continue
        if stage.state == "done":
            yield Moment(end, "end", f"{stage.name} finished")
        elif not found.at_work:
            code = "" if stage.exit_code is None else f" with exit code {stage.exit_code}"
            yield Moment(end, "stop", f"{stage.name} {_ended(stage)}{code}")


def _ended(stage: Stage) -> str:
    return "failed" if stage.state == "failed" else "stopped"


def _spans(found: Gathered, stage: Stage) -> Iterator[Span]:
    read = found.logs.get(stage.name)
    begun = sorted(read.begun) if read else []
    if not begun and (first := seconds(stage.started)) is not None:
        begun = [first]
    finished, last = seconds(stage.finished), len(begun) - 1
    for number, begin in enumerate(begun):
        following = begun[number + 1] if number < last else None
        if following is None and finished is not None and finished >= begin:
            yield Span(stage.name, number + 1, begin, finished)
        elif following is None and found.at_work and stage.state == "running":
            yield Span(stage.name, number + 1, begin, max(begin, found.now))
        else:
            end = _last_sign(found, stage, begin, following)
            yield Span(stage.name, number + 1, begin, end, guessed=True)


def _last_sign(found: Gathered, stage: Stage, begin: float, before: float | None) -> float:
    """Return when an attempt that nobody saw the end of was last known to run."""
    limit = found.now if before is None else before
    signs = [begin]
    if stage.name == "train":
        signs += found.logged.ends
        signs += [state.saved for state in found.states]
    signs += [line.at for line in found.said if _is_grave(line.text)]  # as "interrupted"
    if before is None:
        signs.append(_modified(stage.launch.log))
    return max(sign for sign in signs if begin <= sign <= limit or sign == begin)


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
