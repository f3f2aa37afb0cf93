"""Carry a plan out, and take it back: one file after the other, each old or new at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.loras import escape
from kohya_presets.problems import first, plural
from wrapper.data.captions import disk, undo
from wrapper.data.captions.steps import Move, Plan, Write
from wrapper.data.captions.undo import Undo, Written
from wrapper.system import locks

MEANWHILE = "another program has changed it meanwhile"
SHOWN = 20  # names of changed files in a message


def carry_out(plan: Plan, *, on_undo_file: Callable[[Path], None]) -> None:
    """Carry out the steps of a plan; `on_undo_file` is told before anything is changed.

    Raises:
        UserError: a file cannot be changed, or has changed since it was planned. What was done
            is taken back.
    """
    if not plan.steps:
        return
    with _alone(plan.folder):
        file, mark = undo.new_file(plan.folder)
        undo.write(file, mark, plan.folder, plan.steps)
        written = undo.read(file)  # nothing is changed that it could not tell
        on_undo_file(file)
        done = 0
        try:
            for step in plan.steps:
                _do(step, mark)
                done += 1
        except OSError as error:
            _take_back(Undo(mark, plan.folder, written.steps[:done]), file, error)
        for folder in written.folders():
            disk.sync(folder)


def planned_undo(file: Path) -> tuple[Undo, tuple[Written | Move, ...]]:
    """Return an undo file, and its steps that were done and can be undone, the last one first.

    Raises:
        UserError: it is none, or files were changed since.
    """
    found = undo.read(file)
    if not found.folder.is_dir():
        raise UserError(
            f"{found.folder} does not exist any more",
            hint="Move the folder back to this place, then try again.",
        )
    states = list(undo.states(found))
    changed = [s for s, state in zip(found.steps, states, strict=True) if state == "changed"]
    if changed:
        names = first([_name(step) for step in changed], SHOWN)
        count = plural(len(changed), "file")
        raise UserError(
            f"{count} changed since; nothing was undone: {names}",
            hint=f"Move them away if they are not needed. What they were is in {file}.",
        )
    done = [s for s, state in zip(found.steps, states, strict=True) if state == "new"]
    return found, tuple(reversed(done))


def take_back(file: Path) -> tuple[Written | Move, ...]:
    """Return the steps of an undo file that were undone; it can be killed, and called again.

    Raises:
        UserError: it is none, files were changed since, or one cannot be written.
    """
    with _alone(undo.read(file).folder):
        found, steps = planned_undo(file)
        try:
            _undo(found, steps)
        except OSError as error:
            named = error.filename2 or error.filename
            raise UserError(
                f"cannot write {named}: {error.strerror}",
                hint="Some files are undone. Run the same command again for the others.",
            ) from error
    return steps


def _undo(found: Undo, steps: Sequence[Written | Move]) -> None:
    for step in steps:
        if isinstance(step, Move):
            disk.move(step.new, step.old)
        elif step.before is None:
            step.file.unlink(missing_ok=True)
        else:
            disk.replace(step.file, step.before, found.mark)
    for folder in found.folders():
        disk.part(folder, found.mark).unlink(missing_ok=True)  # of an action that was killed
        disk.sync(folder)


def _do(step: Write | Move, mark: str) -> None:
    """Carry out one step, if the file still is what the plan was made for."""
    if isinstance(step, Move):
        stat = step.old.lstat()
        if (stat.st_size, stat.st_mtime_ns) != (step.size, step.mtime_ns):
            raise OSError(0, MEANWHILE, str(step.old))
        disk.move(step.old, step.new)
        return
    if step.file.is_symlink() or disk.read(step.file) != step.before:
        raise OSError(0, MEANWHILE, str(step.file))
    disk.replace(step.file, step.after, mark)


def _take_back(done: Undo, file: Path, error: OSError) -> None:
    """Undo what was done before a step failed, and say so."""
    named = escape.controls(str(error.filename2 or error.filename))
    said = f"cannot change {named}: {error.strerror}"
    try:
        if not all(state == "new" for state in undo.states(done)):
            raise OSError(0, "others were changed meanwhile")
        _undo(done, done.steps[::-1])
    except OSError as second:
        hint = f'When you have mended that: kohya-presets captions --undo "{file}"'
        said += f". {plural(len(done.steps), 'file')} changed before it: {second.strerror}"
        raise UserError(said, hint=hint) from error
    raise UserError(f"{said}; all files are as they were") from error


def _name(step: Written | Move) -> str:
    return escape.controls(step.file.name if isinstance(step, Written) else step.new.name)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from changing captions of the same folder meanwhile."""
    key = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    busy = UserError(
        f"captions of {folder} are being changed", hint="Wait until that has finished."
    )
    with locks.held(Path(tempfile.gettempdir()) / f"kohya-presets-captions-{key}.lock", busy):
        yield
