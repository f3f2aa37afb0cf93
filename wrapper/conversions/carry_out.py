"""Carry extractions and resizings out, one after the other; one that fails does not stop the rest.

Each works in a hidden folder beside its result, which exists in the end whole and verified or not
at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.loras import escape
from kohya_presets.loras.summary import Lora
from wrapper.runs import failures
from wrapper.runs.watcher import Watcher
from wrapper.system import folders, launch, locks, whole
from wrapper.system.launch import Launch, Outcome

LOCK = ".lock"
SHOWN, WIDEST = 12, 160  # last lines of a log that are shown, and letters of each
_ADVICE = {  # what is special here; else as for runs
    "out of memory": "Close other programs that use the GPU, or add --set {tool}.device=cpu.",
    "No space left on device": "Free some space, or choose another --out.",
}


@dataclass(frozen=True)
class Job:
    """One start of a tool: it makes `made` in the folder `work`, which become `outputs`."""

    tool: str  # "extract" or "resize"
    source: Path
    launch: Launch
    work: Path
    made: tuple[Path, ...]
    outputs: tuple[Path, ...]
    check: Callable[[Path], Lora]
    force: bool  # whether outputs that exist are replaced


def every(jobs: Sequence[Job], watcher: Watcher) -> Iterator[tuple[Job, Lora]]:
    """Yield each LoRA, in place, as soon as it is made.

    Raises:
        TrainerError: after the last job, if some failed; it lists them.
    """
    failed: list[tuple[Job, UserError]] = []
    for number, job in enumerate(jobs, start=1):
        if len(jobs) > 1:
            watcher.say(f"{job.source.name} ({number} of {len(jobs)})")
        try:
            made = one(job, watcher)
        except UserError as error:
            if len(jobs) == 1:
                raise
            watcher.say(f"{job.source.name} failed: {error}")
            failed.append((job, error))
        else:
            for lora in made:
                yield job, lora
    if failed:
        first = ((job.source, str(error).splitlines()[0]) for job, error in failed)
        lines = "".join(f"\n  {source}: {text}" for source, text in first)
        hints = dict.fromkeys(error.hint for _, error in failed if error.hint)
        raise TrainerError(
            f"{len(failed)} of {len(jobs)} files failed:{lines}",
            hint="\n      ".join(hints) or None,
        )


def one(job: Job, watcher: Watcher) -> tuple[Lora, ...]:
    """Return the LoRAs of a job, verified and in place.

    Raises:
        TrainerError: the tool failed, or what it made is unusable. No file is left.
        UserError: another process is at this job, or the folder cannot be written.
    """
    try:
        with _workplace(job):
            with watcher.stage(job.tool) as on_line:
                outcome = launch.run(job.launch, on_line=on_line)
                if outcome.returncode or not all(file.is_file() for file in job.made):
                    raise _failure(job, outcome)
            made = [_checked(job, *ends) for ends in zip(job.made, job.outputs, strict=True)]
            if not job.force:
                whole.require_free(job.outputs)  # somebody may have written it meanwhile
            for file, output in zip(job.made, job.outputs, strict=True):
                file.replace(output)
            return tuple(made)
    except OSError as error:
        at = error.filename2 or error.filename or job.outputs[0]
        raise UserError(f"cannot write {at}: {error.strerror}") from None


def _checked(job: Job, file: Path, output: Path) -> Lora:
    try:
        return replace(job.check(file), file=output)
    except TrainerError as error:  # the file it names will be gone
        raise TrainerError(str(error).replace(str(file), output.name), hint=error.hint) from None


@contextlib.contextmanager
def _workplace(job: Job) -> Iterator[None]:
    """Make the job's folder, which is deleted in the end; an earlier one was left by a kill."""
    new = [at for at in job.work.parents if not at.exists()]
    job.work.mkdir(parents=True, exist_ok=True)
    busy = UserError(
        f"another kohya-presets is already writing {job.outputs[0]}",
        hint="Wait until it has finished, or stop it.",
    )
    mine = False
    try:
        with locks.held(job.work / LOCK, busy):
            mine = True
            launch.stop(launch.at_work(job.work))
            for file in job.work.iterdir():
                if not file.name.startswith(LOCK):  # and the note of who holds it
                    file.unlink()
            yield
    finally:
        if mine:
            folders.delete(job.work)
        for at in new:  # if made for nothing
            with contextlib.suppress(OSError):
                at.rmdir()


def _failure(job: Job, outcome: Outcome) -> TrainerError:
    said = failures.last_words(outcome.tail)
    if outcome.returncode:
        what = f"{job.tool} stopped with exit code {outcome.returncode}: {said}"
    else:
        what = f"{job.tool} ended without writing {job.made[-1].name}: {said}"
    shown = (escape.controls(line)[:WIDEST] for line in outcome.tail[-SHOWN:])
    lines = "".join(f"\n  | {line}" for line in shown)
    text = "\n".join(outcome.tail)
    own = (hint.format(tool=job.tool) for sign, hint in _ADVICE.items() if sign in text)
    return TrainerError(what + lines, hint=next(own, None) or failures.advise(outcome.tail))
