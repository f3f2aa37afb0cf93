"""Write files completely or not at all, and never over existing ones without `force`."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from kohya_presets.errors import UserError


def write(files: Mapping[Path, str], *, force: bool = False) -> list[Path]:
    """Return the files written: all that were asked for, or none.

    Raises:
        UserError: one exists with another text, and `force` is not set; or it cannot be written.
    """
    if not force:
        require_free(file for file, text in files.items() if not _holds(file, text))
    for at in files:
        if at.is_dir():
            raise UserError(f"cannot write {at}: it is a folder")
    try:
        put({at: text.encode("utf-8") for at, text in files.items()})
    except UnicodeEncodeError as error:  # such a name of a file is not readable as text
        name = error.object[error.start : error.start + 40].splitlines()[0]
        raise UserError(
            f"a name is in another encoding than UTF-8: {name!r}", hint="Rename the file or folder."
        ) from error
    except OSError as error:
        named = error.filename2 or error.filename  # of a file moved into place: the place
        raise UserError(f"cannot write {named}: {error.strerror}") from error
    return list(files)


def put(files: Mapping[Path, bytes | None]) -> None:
    """Write every file, or delete those that are None; where one fails, all stay as they were.

    A link stays a link: what it points to is written. Permissions stay.

    Raises:
        OSError: one cannot be written.
    """
    parts: dict[Path, Path | None] = {}
    spares: dict[Path, Path | None] = {}  # made first: a full disk stops us before any change
    done: list[Path] = []
    new = [
        folder for file, content in files.items() if content is not None for folder in _new(file)
    ]
    try:
        for file, content in files.items():
            if content is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            parts[file] = None if content is None else _beside(file, content)
            alone = len(files) == 1  # nothing is done before it that would have to be undone
            spares[file] = None if alone or not file.exists() else _beside(file, file.read_bytes())
        for file in files:
            _settle(file, parts[file])
            done.append(file)
    except BaseException:
        for file in reversed(done):
            try:
                _settle(file, spares[file])
            except OSError:  # the others shall come back; of this one, its content is left beside
                del spares[file]
        raise
    finally:
        for part in (*parts.values(), *spares.values()):
            with contextlib.suppress(OSError):
                if part is not None:
                    part.unlink(missing_ok=True)
        for folder in new if len(done) < len(files) else ():
            with contextlib.suppress(OSError):
                folder.rmdir()


def require_free(files: Iterable[Path]) -> None:
    """Raise UserError if one of `files` already exists."""
    for file in files:
        if file.exists() or file.is_symlink():
            raise UserError(f"{file} already exists", hint="Add --force to overwrite it.")


def _beside(file: Path, content: bytes) -> Path:
    """Write `content` to a new file beside `file`, whose name nobody else has."""
    target = _target(file)
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with made.open("xb") as opened:
            opened.write(content)
        if target.exists():
            shutil.copymode(target, made)
    except OSError:
        made.unlink(missing_ok=True)
        raise
    return made


def _settle(file: Path, part: Path | None) -> None:
    """Put `part` in the place of `file`; None: delete it, with what Python compiled of it."""
    if part is not None:
        part.replace(_target(file))
        return
    # The compiled files first: where one cannot be deleted, the file is still there.
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def _target(file: Path) -> Path:
    """Return what a link points to, or the file itself."""
    try:
        return file.resolve()
    except RuntimeError:  # before Python 3.13
        raise OSError(errno.ELOOP, "it is a link to itself", str(file)) from None


def _new(file: Path) -> list[Path]:
    """Return the folders of `file` that do not exist yet, the innermost first."""
    return [folder for folder in file.parents if not folder.exists()]


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_bytes() == text.encode("utf-8")
    except OSError:
        return False
