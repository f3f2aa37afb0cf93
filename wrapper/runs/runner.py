"""Carry out a run, stage by stage, and continue it where it stopped.

A stage is done when its file is complete, moved into place, and its hash is in the manifest.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.loras import summary, weights
from kohya_presets.loras.summary import Lora
from kohya_presets.sdscripts import scripts
from wrapper.extraction import verify
from wrapper.runs import failures, keeping, manifest, sources
from wrapper.runs.manifest import Run, Stage
from wrapper.system import launch, locks, proc
from wrapper.system.launch import OnLine, Outcome


class Watcher(Protocol):
    """Receives the progress of a run."""

    def stage(self, name: str) -> AbstractContextManager[OnLine]:
        """Enter when a stage starts; the yielded function receives every line it prints."""

    def say(self, text: str) -> None:
        """Print a line for the reader."""


def start(run: Run, files: Mapping[str, str]) -> Run:
    """Return the run, with its folder, first files and manifest created.

    Raises:
        UserError: the folder already exists.
    """
    try:
        run.folder.mkdir(parents=True)
    except FileExistsError:
        raise taken(run.folder) from None
    for name, text in files.items():
        (run.folder / name).write_text(text, encoding="utf-8", newline="\n")
    manifest.write(run)
    return run


def taken(folder: Path) -> UserError:
    """Return the error that a run's folder already exists."""
    resume = proc.command_line(("kohya-presets", "resume", folder))
    hint = f"Continue with `{resume}`, or choose another --name."
    return UserError(f"the run folder {folder} already exists", hint=hint)


def carry_out(run: Run, watcher: Watcher) -> Lora | None:
    """Return a description of the LoRA, None for a preset without one; runs all stages not done.

    Raises:
        TrainerError: a stage failed, or wrote an unusable file.
        UserError: another process is carrying out the run.
    """
    with lock(run.folder):
        if not launch.at_work(run.folder):
            run = sources.standing(run, watcher.say)
        for stage in run.stages:
            if is_done(stage):
                watcher.say(f"{stage.name}: already done ({stage.output.name} is intact)")
                continue
            run = run.with_stage(_carry_out(run, stage, watcher))
        if run.stages[-1].expects != scripts.LORA:
            return None
        return _verified(run) if run.stages[-1].name != "train" else _trained(run.product)


def require_idle(folder: Path) -> None:
    """Raise UserError where the trainer of the run in `folder` is still running."""
    if left := launch.at_work(folder):
        resume = proc.command_line(("kohya-presets", "resume", folder))
        raise UserError(
            f"the trainer of the run in {folder} is still running: {locks.described(left[0])}",
            hint=f"Attach to it with `{resume}`; Ctrl-C there stops it. Then try again.",
        )


def is_done(stage: Stage) -> bool:
    """Return whether the stage's file is in place.

    Raises:
        UserError: another file is there now, which we must not overwrite.
    """
    if stage.state != "done" or not stage.output.is_file():
        return False
    if weights.sha256(stage.output) != stage.sha256:
        raise UserError(
            f"{stage.output} has changed since {stage.name} wrote it",
            hint="Move it to another folder, then resume: the stage runs again.",
        )
    return True


def _carry_out(run: Run, stage: Stage, watcher: Watcher) -> Stage:
    started = time.monotonic()
    if left := launch.at_work(run.folder):
        watcher.say(f"{stage.name}: still running (process {left[0].pid}), attaching to it")
        with watcher.stage(stage.name) as on_line:
            outcome = launch.follow(run.folder, stage.launch.log, on_line=on_line)
    elif stage.state == "running" and _whole(_found(stage)):
        watcher.say(f"{stage.name}: it finished while kohya-presets was not running")
        outcome = Outcome(None, 0.0, ())
    else:
        _require_there(run, stage)
        stage = replace(stage, state="running", started=manifest.now())
        manifest.write(run.with_stage(stage))
        if earlier := keeping.set_aside(stage.makes.parent):
            where = earlier.relative_to(run.folder).as_posix()
            watcher.say(
                f"{stage.name}: starting again (files of the earlier attempt are kept in {where})"
            )
        outcome = _launched(run, stage, watcher)
    stage = replace(
        stage,
        exit_code=outcome.returncode,
        finished=manifest.now(),
        seconds=round(time.monotonic() - started, 1),
    )
    if outcome.returncode or not _found(stage).is_file():
        manifest.write(run.with_stage(replace(stage, state="failed")))
        raise _failure(stage, outcome)
    stage = _settled(run, stage)
    manifest.write(run.with_stage(stage))
    return stage


def _require_there(run: Run, stage: Stage) -> None:
    """Raise UserError where the scripts, their patches or the Python of the run are gone."""
    program, scripts = stage.launch.argv[0], stage.launch.cwd
    if scripts.is_dir() and shutil.which(program):
        sources.require_same_patches(run)
        return
    gone = f"the Python {program}" if scripts.is_dir() else f"the folder {scripts}"
    facts = run.facts.get("sd-scripts", {})
    release = facts.get("release") or facts.get("commit") or ""
    words = ["kohya-presets", "rehearse", run.preset, *(("--release", release) if release else ())]
    hint = f"Run `{proc.command_line(words)}`: if kohya-presets created it, it is created again. "
    hint += "Otherwise restore it. "
    if run.kind != "rehearsal":  # which that command replaces
        resume = proc.command_line(("kohya-presets", "resume", run.folder))
        hint += f"Then run `{resume}`."
    raise UserError(f"{stage.name} cannot start: {gone} is not there any more", hint=hint.strip())


def _launched(run: Run, stage: Stage, watcher: Watcher) -> Outcome:
    stage.makes.parent.mkdir(parents=True)
    stage.launch.log.parent.mkdir(parents=True, exist_ok=True)
    with stage.launch.log.open("a", encoding="utf-8") as log:
        patches = ", ".join(map(str, run.facts.get("sd-scripts", {}).get("patches", ()))) or "none"
        log.write(f"{stage.started} kohya-presets: {stage.name}, scripts in ")
        log.write(f"{stage.launch.cwd}, patches: {patches}\n")
    with watcher.stage(stage.name) as on_line:
        return launch.run(stage.launch, on_line=on_line)


def _found(stage: Stage) -> Path:
    # We may have been killed after the file was moved and before that was written down.
    return stage.makes if stage.makes.is_file() else stage.output


def _whole(file: Path) -> bool:
    try:
        weights.read(file)
    except UserError:
        return False
    return True


def _settled(run: Run, stage: Stage) -> Stage:
    """Return the stage as done, with its file checked and moved into place, and its hash.

    Its other files move into the run too: other ranks and earlier checkpoints beside the file.
    """
    file = _found(stage)
    try:
        found = weights.kind(weights.read(file))
    except UserError as error:
        raise TrainerError(
            f"{stage.name} produced an unusable file: {error}", hint=error.hint
        ) from None
    if found != stage.expects:
        raise TrainerError(
            f"{stage.name} should have produced {stage.expects} but produced {found}"
        )
    digest = weights.sha256(file)
    stage.output.parent.mkdir(parents=True, exist_ok=True)
    file.replace(stage.output)
    if stage.makes.parent.is_dir():
        keeping.move_in(stage.makes.parent, run.folder, stage.output.parent)
    return replace(stage, state="done", sha256=digest)


def _failure(stage: Stage, outcome: Outcome) -> TrainerError:
    tail = outcome.tail or _tail(stage.launch.log)
    hint, said = failures.advise(tail), failures.last_words(tail)
    if outcome.returncode:
        what = f"{stage.name} stopped with exit code {outcome.returncode}: {said}"
    else:
        what = f"{stage.name} ended without writing {stage.makes.name}: {said}"
    return TrainerError(f"{what}\n  log: {stage.launch.log}", hint=hint)


def _tail(log: Path) -> tuple[str, ...]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(text.replace("\r", "\n").splitlines()[-launch.TAIL_LINES :])


def _trained(product: Path) -> Lora | None:
    """Return the description of a LoRA trained directly; None for a kind without ranks (LoKr)."""
    try:
        return summary.describe(product)
    except UserError:
        return None


def _verified(run: Run) -> Lora:
    return verify.extracted(run.product, text_encoders=run.text_encoders, min_diff=_min_diff(run))


def _min_diff(run: Run) -> float:
    """Return the threshold with which the extraction was started."""
    arguments = (arg.partition("=") for stage in run.stages for arg in stage.launch.argv)
    given = [float(value) for name, _, value in arguments if name == "--min_diff"]
    return given[0] if given else verify.min_diff({})


def lock(folder: Path) -> AbstractContextManager[None]:
    """Return a lock on the run in `folder`: entering it raises where another process has it."""
    busy = UserError(
        f"another kohya-presets is already working on the run in {folder}",
        hint="Wait until it has finished, or stop it.",
    )
    return locks.held(folder / ".lock", busy)
