"""Write files whole or not at all, and never over somebody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kohya_presets.errors import UserError


def write(files: Mapping[Path, str], *, force: bool = False) -> list[Path]:
    """Return the files written: all that were asked for, or none.

    Raises:
        UserError: one is there already with another text, and `force` is not set; or it cannot be
            written.
    """
    if not force:
        require_free(file for file, text in files.items() if not _holds(file, text))
    beside = {file: file.with_name(f"{file.name}.part") for file in files}
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            beside[file].write_text(text, encoding="utf-8", newline="\n")
        return [part.replace(file) for file, part in beside.items()]
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from error
    finally:
        for part in beside.values():
            part.unlink(missing_ok=True)


def require_free(files: Iterable[Path]) -> None:
    """Raise UserError where one of `files` is there already."""
    for file in files:
        if file.exists() or file.is_symlink():
            raise UserError(f"{file} is there already", hint="Give --force to replace it.")


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_bytes() == text.encode("utf-8")
    except OSError:
        return False
