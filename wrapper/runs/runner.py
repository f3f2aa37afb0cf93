"""Carry out a run, stage by stage, and continue it where it stopped.

A stage is done when its file is complete, moved into place, and its hash is in the manifest.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from kohya_presets.errors import StoppedError, TrainerError, UserError
from kohya_presets.loras import summary, weights
from kohya_presets.loras.summary import Lora
from kohya_presets.sdscripts import scripts
from wrapper.extraction import verify
from wrapper.runs import attempt, manifest, sources
from wrapper.runs.kept import gone, places
from wrapper.runs.kept import states as kept
from wrapper.runs.manifest import Run, Stage
from wrapper.runs.watcher import NotFinished, Watcher
from wrapper.system import folders, launch, locks, proc
from wrapper.watching.notify import Notices


def start(run: Run, files: Mapping[str, str], *, states: Path | None = None) -> Run:
    """Return the run, with its folder, first files and manifest created.

    `states` is a folder with states of the same training, which it goes on from.

    Raises:
        UserError: the folder already exists.
    """
    if run.folder.exists():
        raise taken(run.folder)
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with folders.made(run.folder.parent) as work:  # a kill on the way leaves the name free
        new = work / run.folder.name
        new.mkdir()
        for name, text in {**files, manifest.NAME: manifest.text(run)}.items():
            (new / name).write_text(text, encoding="utf-8", newline="\n")
        if states is not None:
            kept.copy(states, new)
        try:
            new.rename(run.folder)
        except OSError:
            if not run.folder.exists():
                raise
            raise taken(run.folder) from None
    return run


def taken(folder: Path) -> UserError:
    """Return the error that a run's folder already exists."""
    if not (folder / manifest.NAME).is_file():
        hint = "Choose another --name."
        return UserError(f"the folder {folder} already exists and is not a run", hint=hint)
    resume = proc.our_line("resume", folder)
    hint = f"Continue with `{resume}`, or choose another --name."
    return UserError(f"the run folder {folder} already exists", hint=hint)


def carry_out(
    run: Run, watcher: Watcher, notices: Notices | None = None, *, rate: float | None = None
) -> Lora | None:
    """Return a description of the LoRA, None for a preset without one; runs all stages not done.

    `notices` tell a webhook how it goes; `rate` is what the machine costs in an hour.

    Raises:
        TrainerError: a stage failed, or wrote an unusable file.
        UserError: another process is carrying out the run.
    """
    notices = notices or Notices(None, run.name, watcher.say)
    try:
        with lock(run.folder):
            made = _carried_out(run, watcher, notices, rate)
    except UserError as error:
        notices.send("failure", str(error))
        raise
    except KeyboardInterrupt:
        notices.send("failure", "it was interrupted")
        raise
    else:
        what = "another machine has it" if run.helps else made or "a model"
        notices.send("end", f"finished: {run.product.name}: {what}")
        return made
    finally:
        notices.close()


def _carried_out(run: Run, watcher: Watcher, notices: Notices, rate: float | None) -> Lora | None:
    if not launch.at_work(run.folder):
        run = sources.standing(run, watcher.say)
    notices.send("start", f"{run.preset}, {', '.join(stage.name for stage in run.stages)}")
    run = gone.require_asked(run)
    for number, name in enumerate([stage.name for stage in run.stages]):
        stage = run.stages[number]
        if not gone.must_run(run.stages[number:]):
            watcher.say(f"{name}: already done ({_how_it_is(stage)})")
            continue
        if stage.state == "done":
            watcher.say(f"{name}: it runs again, because {stage.output.name} is missing")
        if stage.state != "running":
            run = gone.renewed(run, stage, watcher.say)
        run = run.with_stage(_carry_out(run, stage, watcher, notices, rate))
        if name != run.stages[-1].name:
            notices.send("milestone", f"{name} is finished")
    if run.stages[-1].expects != scripts.LORA:
        return None
    return _verified(run) if run.stages[-1].name != "train" else _trained(run.product)


def watch(run: Run, watcher: Watcher) -> None:
    """Show the progress of a run that another process carries out, until its script ends.

    Ctrl-C ends only the watching.

    Raises:
        UserError: nothing runs.
    """
    if not launch.at_work(run.folder):
        resume = proc.our_line("resume", run.folder)
        raise UserError(f"no script runs for {run.folder}", hint=f"Start it with `{resume}`.")
    stage = next((stage for stage in run.stages if stage.state == "running"), run.stages[-1])
    with contextlib.suppress(NotFinished), watcher.stage(stage.name) as on_line:
        launch.watch(run.folder, stage.launch.log, on_line=on_line)
        raise NotFinished  # or failed: its own kohya-presets says how it ended
    watcher.say(f"{stage.name}: its script has ended")


def require_idle(folder: Path) -> None:
    """Raise UserError where the trainer of the run in `folder` is still running."""
    if left := launch.at_work(folder):
        resume = proc.our_line("resume", folder)
        raise UserError(
            f"the trainer of the run in {folder} is still running: {locks.described(left[0])}",
            hint=f"Attach to it with `{resume}`; Ctrl-C there stops it. Then try again.",
        )


def _how_it_is(stage: Stage) -> str:
    """Return in words how the file of a finished stage is.

    Raises:
        UserError: another file is there now, which we must not overwrite.
    """
    if stage.helps:
        return "machine 0 has its file"
    if not stage.output.is_file():
        return f"{stage.output.name} is missing, but no later stage needs it"
    if weights.sha256(stage.output) != stage.sha256:
        raise UserError(
            f"{stage.output} has changed since {stage.name} wrote it",
            hint="Move it to another folder, then resume: the stage runs again.",
        )
    return f"{stage.output.name} is intact"


def _carry_out(
    run: Run, stage: Stage, watcher: Watcher, notices: Notices, rate: float | None
) -> Stage:
    started = time.monotonic()
    stage = replace(stage, seconds=(stage.seconds or 0) + attempt.seconds_unseen(stage))
    run = run.with_stage(stage)
    try:
        outcome, why = attempt.of(run, stage, watcher, notices, rate)
    except BaseException:  # what it took is paid for, also where it is interrupted
        stage = _timed(run, stage, started)
        manifest.write(run.with_stage(stage))
        raise
    stage = replace(_timed(run, stage, started), exit_code=outcome.returncode)
    if attempt.has_failed(stage, outcome):
        attempt.say_unfinished(run, stage, watcher)
        failure = attempt.failure(run, stage, outcome, why)
        if not isinstance(failure, StoppedError):  # else it only waits to be continued
            stage = replace(stage, state="failed")
        manifest.write(run.with_stage(stage))
        raise failure
    try:
        stage = _settled(run, stage)
    except UserError:  # not "running": else each resume takes the same file up again
        manifest.write(run.with_stage(replace(stage, state="failed")))
        raise
    manifest.write(run.with_stage(stage))
    return stage


def _timed(run: Run, stage: Stage, started: float) -> Stage:
    """Return a stage that has ended, as its start wrote it down, with the time that it took."""
    begun = manifest.read(run.folder).stage(stage.name)
    seconds = round((stage.seconds or 0) + time.monotonic() - started, 1)
    return replace(
        stage, state=begun.state, started=begun.started, finished=manifest.now(), seconds=seconds
    )


def _settled(run: Run, stage: Stage) -> Stage:
    """Return the stage as done, with its file checked and moved into place, and its hash.

    Its other files move into the run too: other ranks and earlier checkpoints beside the file.
    """
    if stage.helps:
        return replace(stage, state="done")
    file = attempt.found(stage)
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
    if file != stage.output:
        file.replace(stage.output)
    places.move_in(stage.makes.parent, run.folder, stage.output.parent)
    return replace(stage, state="done", sha256=digest)


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
