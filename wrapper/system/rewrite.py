"""Files rewritten together: all of them or none, and by one process at a time."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kohya_presets.errors import PatchError
from wrapper.system import locks, whole


class Change(NamedTuple):
    """A file before and after; None where there is none."""

    file: Path
    before: bytes | None
    after: bytes | None


class Files:
    """The files that a plan has touched so far, as it has changed them."""

    def __init__(self) -> None:
        self._before: dict[Path, bytes | None] = {}
        self._after: dict[Path, str | None] = {}

    def text(self, file: Path) -> str:
        """Return the file's text, with the changes planned so far."""
        if file not in self._after:
            data = file.read_bytes()
            self._before[file] = data
            try:
                self._after[file] = data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise PatchError(f"expected UTF-8 text in {file}, found other bytes") from error
        return self._after[file] or ""

    def put(self, file: Path, text: str | None) -> None:
        """Plan the file's new text; None deletes the file."""
        self._before.setdefault(file, None)
        self._after[file] = text

    def changes(self) -> tuple[Change, ...]:
        """Return the files that are to change."""
        planned = ((f, None if t is None else t.encode("utf-8")) for f, t in self._after.items())
        return tuple(Change(f, self._before[f], a) for f, a in planned if a != self._before[f])


@contextlib.contextmanager
def alone(folder: Path, *, patience_seconds: float = 0) -> Iterator[None]:
    """Keep other processes from rewriting files of the same folder meanwhile.

    Raises:
        PatchError: another process still holds the folder when the patience is over.
    """
    # Not in the folder itself: patches leave without a trace.
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    busy = PatchError(
        f"another process is patching {folder}", hint="Wait until it has finished, then try again."
    )
    file = Path(tempfile.gettempdir()) / f"kohya-presets-{key}.lock"
    with locks.held(file, busy, seconds=patience_seconds):
        yield


def carry_out(changes: Sequence[Change]) -> None:
    """Change every file or none.

    Raises:
        PatchError: a file is read-only, was changed meanwhile, or cannot be written.
    """
    for change in changes:
        _check(change)
    try:
        whole.put({change.file: change.after for change in changes})
    except OSError as error:
        file = error.filename2 or error.filename or changes[0].file
        raise PatchError(f"cannot write {file}: {error.strerror}; nothing was changed") from error


def diff(changes: Sequence[Change], folder: Path) -> bytes:
    """Return the changes as a unified diff that `git apply` takes, paths relative to `folder`."""
    return b"".join(line for change in changes for line in _diff(change, folder))


def _check(change: Change) -> None:
    file = change.file
    if change.before is None:
        return
    if file.read_bytes() != change.before:
        raise PatchError(f"{file} has just changed on disk", hint="Run the same command again.")
    if not file.stat().st_mode & stat.S_IWUSR:
        raise PatchError(
            f"{file} is read-only", hint="Make it writable, then run the same command again."
        )


def _diff(change: Change, folder: Path) -> Iterator[bytes]:
    name = change.file.relative_to(folder).as_posix()
    before, after = _lines(change.before or b""), _lines(change.after or b"")
    if change.before is None or change.after is None:
        verb = "new" if change.before is None else "deleted"
        yield f"diff --git a/{name} b/{name}\n{verb} file mode 100644\n".encode()
    old = b"/dev/null" if change.before is None else f"a/{name}".encode()
    new = b"/dev/null" if change.after is None else f"b/{name}".encode()
    for line in difflib.diff_bytes(difflib.unified_diff, before, after, old, new):
        yield line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"


def _lines(data: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+", data)  # as git counts: a form feed ends no line
