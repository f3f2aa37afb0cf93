"""Write `IMAGE.txt` beside each image, from its file name. Images are never touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kohya_presets.errors import UserError
from kohya_presets.files import captions, image_folder
from kohya_presets.problems import errors
from wrapper.system import whole

State = Literal["new", "kept", "overwritten", "same"]


@dataclass(frozen=True)
class Caption:
    """One caption file to write: its text, and what happens to an existing file."""

    file: Path
    text: str
    state: State


def plan(folder: Path, *, overwrite: bool = False) -> tuple[Caption, ...]:
    """Return the caption of every image in `folder`, and whether it would be written.

    Raises:
        UserError: no such folder, or no image in it.
    """
    found = image_folder.scan(folder)
    faults = [
        p for p in errors(image_folder.problems(found)) if not p.code.startswith(("no-cap", "cap"))
    ]
    if faults:
        raise UserError(f"{folder}: {faults[0].message}", hint=faults[0].hint)
    # Two images may share a stem (a.jpg, a.png), and then a caption file.
    files = {image.with_suffix(".txt"): captions.from_name(image.stem) for image in found.images}
    return tuple(Caption(f, t, _state(f, t, overwrite)) for f, t in sorted(files.items()))


def write(planned: Sequence[Caption]) -> None:
    """Write the captions that are new or to be overwritten, each completely or not at all.

    Raises:
        UserError: one cannot be written.
    """
    wanted = {c.file: c.text for c in planned if c.state in ("new", "overwritten")}
    whole.write(wanted, force=True)  # which `plan` was asked about


def _state(file: Path, text: str, overwrite: bool) -> State:
    if not file.exists():
        return "new"
    if not overwrite:
        return "kept"
    try:
        return "same" if file.read_text(encoding="utf-8") == text else "overwritten"
    except UnicodeDecodeError:
        return "overwritten"
