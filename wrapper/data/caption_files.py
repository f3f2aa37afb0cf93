"""Write `IMAGE.txt` beside each image, from its file name. Images are never touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kohya_presets.errors import UserError
from kohya_presets.files import captions, image_folder
from kohya_presets.problems import errors
from wrapper.data.captions import carry_out, disk
from wrapper.data.captions.steps import Plan, Write

State = Literal["new", "kept", "overwritten", "same"]


@dataclass(frozen=True)
class Caption:
    """One caption file to write: its text, and what happens to an existing file.

    `before` are the bytes of that file; `source` is where the text was found, if not in the name.
    """

    file: Path
    text: str
    state: State
    before: bytes | None = None
    source: str = ""


def plan(folder: Path, *, overwrite: bool = False, extension: str = ".txt") -> tuple[Caption, ...]:
    """Return the caption of every image in `folder`, and whether it would be written.

    Raises:
        UserError: no such folder, or no image in it.
    """
    # Two images may share a stem (a.jpg, a.png), and then a caption file.
    texts = {
        image_folder.caption(image, extension): (captions.from_name(image.stem), "")
        for image in images(folder)
    }
    return of_texts(texts, overwrite=overwrite)


def images(folder: Path) -> tuple[Path, ...]:
    """Return the images of a folder, with full paths.

    Raises:
        UserError: no such folder, or no image in it.
    """
    found = image_folder.scan(folder.absolute())
    faults = [
        p for p in errors(image_folder.problems(found)) if not p.code.startswith(("no-cap", "cap"))
    ]
    if faults:
        raise UserError(f"{folder}: {faults[0].message}", hint=faults[0].hint)
    return found.images


def of_texts(
    texts: Mapping[Path, tuple[str, str]], *, overwrite: bool = False
) -> tuple[Caption, ...]:
    """Return what happens to each caption file, from its text and the source of that."""
    return tuple(_caption(f, *found, overwrite=overwrite) for f, found in sorted(texts.items()))


def write(
    planned: Sequence[Caption], *, on_undo_file: Callable[[Path], None] = lambda _: None
) -> None:
    """Write the captions that are new or to be overwritten, each completely or not at all.

    Raises:
        UserError: one cannot be written.
    """
    steps = tuple(
        Write(c.file, c.before, _bytes(c)) for c in planned if c.state in ("new", "overwritten")
    )
    if steps:
        carry_out.carry_out(Plan(steps[0].file.parent, steps), on_undo_file=on_undo_file)


def _caption(file: Path, text: str, source: str, *, overwrite: bool) -> Caption:
    # A link is another file of the user's, wherever that is.
    if file.is_symlink() or disk.is_read_only(file):
        return Caption(file, text, "kept", None, source)
    before = disk.read(file)
    if before is None:
        state: State = "new"
    elif not overwrite:
        state = "kept"
    else:
        state = "same" if before == text.encode("utf-8", "surrogateescape") else "overwritten"
    return Caption(file, text, state, before, source)


def _bytes(caption: Caption) -> bytes:
    try:
        return caption.text.encode("utf-8")
    except UnicodeEncodeError as error:  # such a name of a file is not readable as text
        raise UserError(
            f"a name is in another encoding than UTF-8: {caption.file.name!r}",
            hint="Rename the file.",
        ) from error
