"""Write files completely or not at all, and never over existing ones without `force`."""

from __future__ import annotations

import contextlib
import secrets
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
    beside: dict[Path, Path] = {}
    try:
        for at, text in files.items():
            if at.is_dir():
                raise UserError(f"cannot write {at}: it is a folder")
            at.parent.mkdir(parents=True, exist_ok=True)
            beside[at] = _beside(at, text)
        for at, part in beside.items():
            part.replace(at)
    except OSError as error:
        raise UserError(f"cannot write {at}: {error.strerror}") from error
    finally:
        for part in beside.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return list(files)


def require_free(files: Iterable[Path]) -> None:
    """Raise UserError if one of `files` already exists."""
    for file in files:
        if file.exists() or file.is_symlink():
            raise UserError(f"{file} already exists", hint="Add --force to overwrite it.")


def _beside(file: Path, text: str) -> Path:
    """Write `text` to a new file beside `file`, whose name nobody else has."""
    made = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with made.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    except OSError:
        made.unlink(missing_ok=True)
        raise
    return made


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_bytes() == text.encode("utf-8")
    except OSError:
        return False
