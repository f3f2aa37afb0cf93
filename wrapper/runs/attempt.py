"""One attempt at a stage: start its process or attach to it, go on from a state, keep what it made.

Says before it starts what it will do.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from kohya_presets.errors import StoppedError, TrainerError, UserError
from kohya_presets.loras import weights
from wrapper.runs import failures, manifest, sources
from wrapper.runs.guard import Guard
from wrapper.runs.kept import loras, places, states
from wrapper.runs.manifest import Run, Stage
from wrapper.runs.news import News
from wrapper.runs.watcher import NotFinished, Watcher
from wrapper.system import launch, proc
from wrapper.system.launch import Launch, OnLine, OnTick, Outcome, Processes
from wrapper.watching import log_end
from wrapper.watching.findings import Stop
from wrapper.watching.notify import Notices


class StageError(TrainerError):
    """A stage failed; `why` is what is known of the reason."""

    def __init__(self, message: str, *, hint: str | None, stage: str, why: Stop | None) -> None:
        super().__init__(message, hint=hint)
        self.stage, self.why = stage, why


def of(
    run: Run, stage: Stage, watcher: Watcher, notices: Notices, rate: float | None = None
) -> tuple[Outcome, Stop | None]:
    """Return how the stage ended, after starting it or attaching to it; and why, if it failed.

    `rate` is what the machine costs in an hour.

    Raises:
        UserError: it cannot start.
    """
    guard = Guard(run, stage, watcher.say, states=lambda: states.whole(run.folder), notices=notices)
    outcome = _ended(run, stage, watcher, guard, News(run, stage, rate))
    return outcome, guard.why(outcome) if has_failed(stage, outcome) else None


def _ended(run: Run, stage: Stage, watcher: Watcher, guard: Guard, news: News) -> Outcome:
    if left := launch.at_work(run.folder):
        watcher.say(f"{stage.name}: still running (process {left[0].pid}), attaching to it")

        def follow(on_line: OnLine, on_tick: OnTick) -> Outcome:
            ends = saves(run, stage)
            log = stage.launch.log
            return launch.follow(run.folder, log, on_line=on_line, on_tick=on_tick, saves=ends)

        return _heard(run, stage, watcher, guard, news, follow)
    _put_in_place(run, stage)
    if stage.state == "running" and weights.is_whole(found(stage)):
        watcher.say(f"{stage.name}: it finished while kohya-presets was not running")
        with _keeping(run, stage, watcher, guard):  # what was left to extract
            pass
        return Outcome(None, 0.0, ())
    _require_there(run, stage)
    started = replace(stage, state="running", started=manifest.now(), finished=None)
    manifest.write(run.with_stage(started))
    planned = _prepared(run, stage, watcher)
    with planned.log.open("a", encoding="utf-8") as log:
        patches = ", ".join(map(str, run.facts.get("sd-scripts", {}).get("patches", ()))) or "none"
        log.write(f"{started.started}{_begun(stage)}{planned.cwd}, patches: {patches}\n")

    def start(on_line: OnLine, on_tick: OnTick) -> Outcome:
        return launch.run(planned, on_line=on_line, on_tick=on_tick, saves=saves(run, stage))

    return _heard(run, stage, watcher, guard, news, start)


def seconds_unseen(stage: Stage) -> float:
    """Return how long the last attempt has run that no kohya-presets saw the end of: it was killed.

    Its log tells: a bar is redrawn several times a second.
    """
    if stage.state != "running" or stage.finished or not stage.started:
        return 0.0
    with suppress(OSError, ValueError):
        began = datetime.datetime.fromisoformat(stage.started).timestamp()
        return max(0.0, round(stage.launch.log.stat().st_mtime - began, 1))
    return 0.0


def has_failed(stage: Stage, outcome: Outcome) -> bool:
    """Return whether a stage has ended without what it was to make."""
    return bool(outcome.returncode) or not (stage.helps or found(stage).is_file())


def saves(run: Run, stage: Stage) -> bool:
    """Return whether the process of a stage saves its state when it is told to terminate."""
    carried = run.facts.get("sd-scripts", {}).get("patches", ())
    return stage.name == "train" and stage.in_place and states.PATCH in carried


def say_unfinished(run: Run, stage: Stage, watcher: Watcher) -> None:
    """Give files that were written half another name, and say so; the stage has ended."""
    for half in places.mark_unfinished(stage.makes.parent) if stage.in_place else ():
        where = half.relative_to(run.folder).as_posix()
        watcher.say(f"{stage.name}: it ended while it wrote a file, which is now {where}")


def found(stage: Stage) -> Path:
    """Return the file that a stage has made."""
    # We may have been killed after the file was moved and before that was written down.
    return stage.makes if stage.makes.is_file() else stage.output


def failure(run: Run, stage: Stage, outcome: Outcome, why: Stop | None) -> UserError:
    """Return the error that a stage failed, or was stopped with its state saved."""
    tail = outcome.tail or _tail(stage)
    resume = proc.our_line("resume", run.folder)
    if words := _stopped(tail):
        return StoppedError(
            f"{stage.name}: {words}; its state is saved", hint=f"Continue with `{resume}`."
        )
    said = failures.last_words(tail)
    if outcome.returncode:
        what = f"{stage.name} stopped with exit code {outcome.returncode}: {said}"
    else:
        what = f"{stage.name} ended without writing {stage.makes.name}: {said}"
    lines = [what, f"log: {stage.launch.log}"]
    if why is not None:
        lines += [f"what happened: {why.what}", *why.details]
    elif stage.name == "train" and (state := states.newest(run.folder)):
        lines.append(f"newest whole state: step {state.step}, {state.folder}")
    hint = why.hint if why and why.hint else f"Read the log. `{resume}` tries again."
    return StageError("\n  ".join(lines), hint=hint, stage=stage.name, why=why)


def _prepared(run: Run, stage: Stage, watcher: Watcher) -> Launch:
    """Return what to start, with room for what it writes; nothing that is there is written over."""
    planned = stage.launch
    planned.log.parent.mkdir(parents=True, exist_ok=True)
    say_unfinished(run, stage, watcher)
    goes_on = states.newest(run.folder) if saves(run, stage) else None
    if goes_on is not None:
        watcher.say(f"{stage.name}: continuing {states.said(goes_on, planned.log)}")
        planned = replace(planned, argv=(*planned.argv, f"--resume={goes_on.folder}"))
    elif earlier := places.set_aside(stage.makes.parent):
        where = earlier.relative_to(run.folder).as_posix()
        watcher.say(
            f"{stage.name}: starting again from the beginning "
            f"(files of the earlier attempt are kept in {where})"
        )
    if goes_on is None and stage.name == "train" and run.keeps is not None:
        for folder in (run.folder / "lora", run.folder / "work" / "keep"):
            if earlier := places.set_aside(folder):  # of another training: never taken for its own
                where = earlier.relative_to(run.folder).as_posix()
                watcher.say(f"{stage.name}: LoRAs of the earlier attempt are kept in {where}")
    stage.makes.parent.mkdir(parents=True, exist_ok=True)
    return planned


def _keeping(
    run: Run, stage: Stage, watcher: Watcher, guard: Guard
) -> AbstractContextManager[loras.Keeper | None]:
    """Return what makes LoRAs of checkpoints while the stage runs, where the run wants that."""
    if stage.name != "train" or run.keeps is None:
        return nullcontext()
    return loras.while_training(run, stage, watcher, lambda: guard.is_paused)


def _heard(
    run: Run,
    stage: Stage,
    watcher: Watcher,
    guard: Guard,
    news: News,
    carry_out: Callable[[OnLine, OnTick], Outcome],
) -> Outcome:
    """Pass lines and ticks on; say what is said of states; in the end, give files their places.

    After a failure no more LoRAs are extracted: first the failure must be told, and a machine that
    is taken back has no minutes left.
    """
    keeper: loras.Keeper | None = None
    try:
        keeping, told = _keeping(run, stage, watcher, guard), watcher.stage(stage.name, news)
        with keeping as keeper, told as on_line:
            if keeper is not None:
                guard.waits = lambda: keeper.waits

            def heard(line: str) -> None:
                news.line(line)
                on_line(line)
                guard.line(line)
                if line.startswith(states.SAYS) and not line.startswith(states.CONTINUES):
                    watcher.say(f"{stage.name}: {line.removeprefix(states.SAYS)}")

            def ticked(processes: Processes) -> None:
                guard.tick(processes)
                if keeper is not None:
                    keeper.tick(processes)

            outcome = carry_out(heard, ticked)
            if has_failed(stage, outcome):
                raise NotFinished
    except NotFinished:
        if keeper is not None:
            keeper.say_left()
    except BaseException:
        if not launch.at_work(run.folder):
            say_unfinished(run, stage, watcher)
        raise
    finally:
        if not launch.at_work(run.folder):
            _put_in_place(run, stage)
    return outcome


def _put_in_place(run: Run, stage: Stage) -> None:
    if stage.in_place:
        places.move_in(stage.makes.parent, run.folder, stage.makes.parent)


def _require_there(run: Run, stage: Stage) -> None:
    """Raise UserError where the scripts, their patches or the Python of the run are gone."""
    program, scripts = stage.launch.argv[0], stage.launch.cwd
    if scripts.is_dir() and shutil.which(program):
        sources.require_same_patches(run)
        return
    gone = f"the Python {program}" if scripts.is_dir() else f"the folder {scripts}"
    facts = run.facts.get("sd-scripts", {})
    release = facts.get("release") or facts.get("commit") or ""
    rehearse = proc.our_line("rehearse", run.preset, *(("--release", release) if release else ()))
    hint = f"Run `{rehearse}`: if kohya-presets created it, it is created again. "
    hint += "Otherwise restore it. "
    if run.kind != "rehearsal":  # which that command replaces
        resume = proc.our_line("resume", run.folder)
        hint += f"Then run `{resume}`."
    raise UserError(f"{stage.name} cannot start: {gone} is not there any more", hint=hint.strip())


def _stopped(tail: tuple[str, ...]) -> str | None:
    """Return why a trainer stopped after saving its state, from the end of its log, or None."""
    begins = states.SAYS + states.STOPPED
    return next((x.removeprefix(states.SAYS) for x in reversed(tail) if x.startswith(begins)), None)


def _tail(stage: Stage) -> tuple[str, ...]:
    """Return the end of what the last attempt at a stage wrote, and nothing of earlier ones."""
    try:
        text = stage.launch.log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    lines = log_end.split(text)
    begins = [number for number, line in enumerate(lines) if _begun(stage) in line]
    own = lines[begins[-1] + 1 :] if begins else lines
    return tuple(own[-launch.TAIL_LINES :])


def _begun(stage: Stage) -> str:
    """Return what the line has that each attempt at a stage begins with in the log."""
    return f" kohya-presets: {stage.name}, scripts in "
