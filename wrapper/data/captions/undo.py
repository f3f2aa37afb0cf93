"""The undo file: JSON that holds what every file was before an action.

It is written first, as a whole. So after an action that was killed it still knows all that may
have been done: a file that is as it was before needs nothing.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kohya_presets.errors import UserError
from wrapper.data.captions import disk
from wrapper.data.captions.steps import Move, Write, digest
from wrapper.system import paths

FORMAT = 1
State = Literal["old", "new", "changed"]


@dataclass(frozen=True)
class Written:
    """A caption that an action wrote: its bytes before, and the digest of those after."""

    file: Path
    before: bytes | None
    after: str


@dataclass(frozen=True)
class Undo:
    """An undo file that was read: the steps in the order in which they were carried out."""

    mark: str
    folder: Path
    steps: tuple[Written | Move, ...]

    def folders(self) -> list[Path]:
        """Return the folders in which files were changed."""
        files = [s.file if isinstance(s, Written) else s.new for s in self.steps]
        return sorted({file.parent for file in files})


def new_file(folder: Path) -> tuple[Path, str]:
    """Return where the undo file of an action on `folder` will be, and the mark of that action."""
    mark = secrets.token_hex(4)
    name = re.sub(r"[^\w.-]+", "-", folder.name, flags=re.ASCII).strip("-.")[:40] or "captions"
    moment = time.strftime("%Y%m%d-%H%M%S")
    return paths.home() / "undo" / f"{moment}-{name}-{mark}.json", mark


def write(file: Path, mark: str, folder: Path, steps: tuple[Write | Move, ...]) -> None:
    """Write an undo file for steps that are to come, as a whole and onto the disk.

    Raises:
        UserError: it cannot be written.
    """
    listed = [_values(step) for step in steps]
    values = {"format": FORMAT, "mark": mark, "folder": str(folder), "steps": listed}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.replace(file, (json.dumps(values, indent=0) + "\n").encode("ascii"), mark)
    except OSError as error:
        raise UserError(
            f"cannot write the undo file {file}: {error.strerror}; nothing was changed"
        ) from error
    disk.sync(file.parent)


def read(file: Path) -> Undo:
    """Return an undo file.

    Raises:
        UserError: it is none.
    """
    wrong = UserError(
        f"{file} is not an undo file of captions",
        hint="An action prints the name of its undo file before it changes anything.",
    )
    try:
        found = json.loads(file.read_bytes())
        if found["format"] != FORMAT or not re.fullmatch(r"[0-9a-f]{8}", found["mark"]):
            raise wrong
        steps = tuple(_step(values) for values in found["steps"])
        return Undo(found["mark"], Path(found["folder"]), steps)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise wrong from None


def states(undo: Undo) -> Iterator[State]:
    """Yield for each step whether its file is as before the action, as after it, or another."""
    names: dict[Path, frozenset[str]] = {}
    for step in undo.steps:
        if isinstance(step, Written):
            yield _written(step)
            continue
        folder = step.new.parent
        if folder not in names:
            names[folder] = frozenset(os.listdir(folder) if folder.is_dir() else ())  # noqa: PTH208
        yield _moved(step, names[folder])


def _written(step: Written) -> State:
    if step.file.is_symlink():
        return "changed"
    try:
        data = disk.read(step.file)
    except OSError:
        return "changed"
    if data == step.before:
        return "old"
    return "new" if data is not None and digest(data) == step.after else "changed"


def _moved(step: Move, names: frozenset[str]) -> State:
    there = [file for file in (step.old, step.new) if file.name in names]
    if len(there) != 1:
        return "changed"
    stat = there[0].lstat()
    if (stat.st_size, stat.st_mtime_ns) != (step.size, step.mtime_ns):
        return "changed"
    return "old" if there[0] == step.old else "new"


def _values(step: Write | Move) -> dict[str, Any]:
    if isinstance(step, Move):
        times = {"size": step.size, "mtime_ns": step.mtime_ns}
        return {"old": str(step.old), "new": step.new.name, **times}
    return {"file": str(step.file), **_before(step.before), "after": digest(step.after)}


def _before(data: bytes | None) -> dict[str, str | None]:
    """Return a caption's bytes: readable, so that a person can take them out by hand."""
    if data is None:
        return {"before": None}
    try:
        return {"before": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"before_base64": base64.b64encode(data).decode("ascii")}


def _step(values: Mapping[str, Any]) -> Written | Move:
    if "old" in values:
        old, name = Path(values["old"]), values["new"]
        if not old.is_absolute() or Path(name).name != name:
            raise ValueError("a name is no name")
        return Move(old, old.with_name(name), int(values["size"]), int(values["mtime_ns"]))
    file, before = Path(values["file"]), values.get("before")
    if not file.is_absolute():
        raise ValueError("a path is not full")
    if "before_base64" in values:
        return Written(file, base64.b64decode(values["before_base64"]), values["after"])
    return Written(file, None if before is None else before.encode("utf-8"), values["after"])
