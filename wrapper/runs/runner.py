"""Carry a run out, stage by stage, and take it up again where it stopped.

A stage is done when what it made is whole, moved into place, and its hash stands in the manifest.
"""

from __future__ import annotations

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
from wrapper.runs import failures, keeping, manifest
from wrapper.runs.manifest import Run, Stage
from wrapper.system import launch, locks
from wrapper.system.launch import OnLine, Outcome


class Watcher(Protocol):
    """Who is told of a run's progress."""

    def stage(self, name: str) -> AbstractContextManager[OnLine]:
        """Enter when a stage starts; what is yielded gets its every line."""

    def say(self, text: str) -> None:
        """Take a line for the reader."""


def start(run: Run, files: Mapping[str, str]) -> Run:
    """Make the run's folder with the files it starts from, and its manifest.

    Raises:
        UserError: the folder is there already.
    """
    try:
        run.folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(
            f"there is a run in {run.folder} already",
            hint=f'Go on with it: kohya-presets resume "{run.folder}", or choose another --name.',
        ) from None
    for name, text in files.items():
        (run.folder / name).write_text(text, encoding="utf-8", newline="\n")
    manifest.write(run)
    return run


def carry_out(run: Run, watcher: Watcher) -> Lora | None:
    """Run every stage that is not done; return what the product is, None for a preset without LoRA.

    Raises:
        TrainerError: a stage failed, or made something unusable.
        UserError: the run is at work elsewhere.
    """
    with lock(run.folder):
        for stage in run.stages:
            if is_done(stage):
                watcher.say(f"{stage.name}: done before, {stage.output.name} is whole")
                continue
            run = run.with_stage(_carry_out(run, stage, watcher))
        if run.stages[-1].expects != scripts.LORA:
            return None
        return _verified(run) if run.stages[-1].name != "train" else _trained(run.product)


def is_done(stage: Stage) -> bool:
    """Return whether what the stage made is there.

    Raises:
        UserError: something else is there by now, which is not ours to overwrite.
    """
    if stage.state != "done" or not stage.output.is_file():
        return False
    if weights.sha256(stage.output) != stage.sha256:
        raise UserError(
            f"{stage.output} was changed since {stage.name} made it",
            hint="Move it away to have it made again.",
        )
    return True


def _carry_out(run: Run, stage: Stage, watcher: Watcher) -> Stage:
    started = time.monotonic()
    if left := launch.at_work(run.folder):
        watcher.say(f"{stage.name}: still at work (process {left[0].pid}), following it")
        with watcher.stage(stage.name) as on_line:
            outcome = launch.follow(run.folder, stage.launch.log, on_line=on_line)
    elif stage.state == "running" and _whole(_found(stage)):
        watcher.say(f"{stage.name}: it had finished when nobody looked")
        outcome = Outcome(None, 0.0, ())
    else:
        stage = replace(stage, state="running", started=manifest.now())
        manifest.write(run.with_stage(stage))
        if earlier := keeping.set_aside(stage.makes.parent):
            where = earlier.relative_to(run.folder).as_posix()
            watcher.say(
                f"{stage.name}: starting again; the files of the earlier attempt are in {where}"
            )
        outcome = _launched(stage, watcher)
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


def _launched(stage: Stage, watcher: Watcher) -> Outcome:
    stage.makes.parent.mkdir(parents=True)
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
    """Return the stage done: its file checked, moved into place, its hash taken.

    What else it wrote moves into the run too: other ranks and earlier checkpoints beside the file.
    """
    file = _found(stage)
    try:
        found = weights.kind(weights.read(file))
    except UserError as error:
        raise TrainerError(
            f"{stage.name} made an unusable file: {error}", hint=error.hint
        ) from None
    if found != stage.expects:
        raise TrainerError(f"{stage.name} was to make {stage.expects}, it made {found}")
    digest = weights.sha256(file)
    stage.output.parent.mkdir(parents=True, exist_ok=True)
    file.replace(stage.output)
    if stage.makes.parent.is_dir():
        keeping.move_in(stage.makes.parent, run.folder, stage.output.parent)
    return replace(stage, state="done", sha256=digest)


def _failure(stage: Stage, outcome: Outcome) -> TrainerError:
    tail = outcome.tail or _tail(stage.launch.log)
    hint = failures.advise(tail)
    if outcome.returncode:
        said = failures.last_words(tail)
        what = f"{stage.name} stopped with exit code {outcome.returncode}: {said}"
    else:
        what = f"{stage.name} ended without making {stage.makes.name}: {failures.last_words(tail)}"
    return TrainerError(f"{what}\n  log: {stage.launch.log}", hint=hint)


def _tail(log: Path) -> tuple[str, ...]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(text.replace("\r", "\n").splitlines()[-launch.TAIL_LINES :])


def _trained(product: Path) -> Lora | None:
    """Return what a LoRA holds that was trained as one; None for a kind without ranks (LoKr)."""
    try:
        return summary.describe(product)
    except UserError:
        return None


def _verified(run: Run) -> Lora:
    made = summary.describe(run.product)
    if run.text_encoders and not (made.text_encoder_1 and made.text_encoder_2):
        raise TrainerError(
            f"{run.product} holds no text-encoder modules, though the text encoders were trained: "
            "none of their weights moved by more than extract.min_diff",
            hint="Extract again with a smaller one, e.g. --set extract.min_diff=1e-6; it has to be "
            "below what training changed, which the learning rate decides.",
        )
    if not made.unet:
        raise TrainerError(f"{run.product} holds no U-Net modules: training changed nothing")
    return made


def lock(folder: Path) -> AbstractContextManager[None]:
    """Return a lock on the run in `folder`: entering it raises where another process has it."""
    busy = UserError(
        f"the run in {folder} is running in another kohya-presets",
        hint="Wait for it, or stop that one.",
    )
    return locks.held(folder / ".lock", busy)
