"""What a run has finished and is not there any more: made anew only if that is asked for by name.

Hours of training are paid for. So a training whose model was deleted does not begin again without
a word, and what was made from the old model is kept beside what is made from the new one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.problems import listed
from wrapper.runs import attempt, manifest
from wrapper.runs.kept import places, states
from wrapper.runs.manifest import Run, Stage
from wrapper.system import proc

AGAIN = "--train-again"  # of `resume`


def must_run(stages: Sequence[Stage]) -> bool:
    """Return whether the first of these stages has to run; the others are those that follow it.

    The file of a finished stage may be gone where no later stage reads it any more.
    """
    first, *following = stages
    if first.state != "done":
        return True
    if first.helps:
        return False
    return not first.output.is_file() and (not following or must_run(following))


def training(run: Run) -> Stage | None:
    """Return the stage of a finished training that would have to run anew, or None."""
    for number, stage in enumerate(run.stages):
        if stage.name == "train" and stage.state == "done" and must_run(run.stages[number:]):
            return stage
    return None


def require_asked(run: Run, *, again: bool = False) -> Run:
    """Return the run, ready to train anew where that is necessary and was asked for.

    Raises:
        UserError: it is necessary and was not asked for, or the reverse.
    """
    train = training(run)
    if train is None and again:
        raise UserError(
            f"{AGAIN} is only for a finished training whose model is missing and is needed",
            hint="Leave it out.",
        )
    if train is None:
        return run
    if again:
        return run.with_stage(replace(train, state="planned"))
    state = states.newest(run.folder) if attempt.saves(run, train) else None
    begins = f"go on {states.said(state, train.launch.log)}" if state else "begin at step 0"
    names = [stage.name for stage in run.stages]
    later = names[names.index(train.name) + 1 :]
    lines = [
        f"training is finished, but its file {train.output} is missing",
        f"training again would {begins}",
        *([f"then these stages would run again: {listed(later)}"] if later else []),
    ]
    resume = proc.our_line("resume", run.folder, AGAIN)
    raise UserError("\n  ".join(lines), hint=f"Put the file back. To train again, run `{resume}`.")


def renewed(run: Run, stage: Stage, say: Callable[[str], None]) -> Run:
    """Return the run with the stages after `stage` not done: their inputs are made anew.

    What they have made is kept beside it.
    """
    number = [each.name for each in run.stages].index(stage.name)
    for later in run.stages[number + 1 :]:
        if later.state != "done":
            continue
        run = run.with_stage(replace(later, state="planned", sha256=None))
        manifest.write(run)
        if (at := _set_aside(later.output)) is not None:
            where = at.relative_to(run.folder).as_posix()
            say(f"{later.name}: it runs again, after {stage.name}; its files are kept in {where}")
    return run


def _set_aside(product: Path) -> Path | None:
    """Move a product, and those of other ranks, to a new folder; return that."""
    ranks = re.compile(rf"{re.escape(product.stem)}(-dim\d+)?\.safetensors")
    parent = product.parent
    files = [f for f in parent.iterdir() if ranks.fullmatch(f.name)] if parent.is_dir() else []
    if not files:
        return None
    into = places.free_name(product.parent.with_name(f"{product.parent.name}-earlier"))
    into.mkdir()
    for file in files:
        file.rename(into / file.name)
    return into
