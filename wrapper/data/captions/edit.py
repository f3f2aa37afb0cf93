"""Plan the edits of a folder's captions."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

from kohya_presets.dataset.captioning import edits as edits_of
from kohya_presets.dataset.captioning.edits import Edits
from kohya_presets.files import image_folder
from kohya_presets.problems import plural
from wrapper.data import caption_files
from wrapper.data.captions import disk
from wrapper.data.captions.steps import Plan, Write

# Of all releases: the file is taken as it is, whatever the caption says by then
# (library/strategy_sdxl.py, is_disk_cached_outputs_expected; library/train_util.py before).
_CACHED = "_te_outputs.npz"


def plan(folder: Path, edits: Edits, *, extension: str = ".txt") -> Plan:
    """Return what `edits` make of the caption of every image in `folder`.

    Raises:
        UserError: no such folder, or no image in it.
    """
    steps: list[Write] = []
    left: list[tuple[Path, str]] = []
    same: list[Path] = []
    # Two images may share a stem (a.jpg, a.png), and then a caption file.
    for file in sorted({image_folder.caption(i, extension) for i in caption_files.images(folder)}):
        before, why = _read(file)
        found = edits_of.Edited(None, why) if before is None else edits_of.edited(before, edits)
        if before is None or found.data is None:
            left.append((file, found.why))
        elif found.data == before:
            same.append(file)
        else:
            steps.append(Write(file, before, found.data))
    notes = (*stale([step.file for step in steps]), *_marked(steps))
    return Plan(folder.absolute(), tuple(steps), tuple(left), tuple(same), notes)


def stale(files: Iterable[Path]) -> Iterator[str]:
    """Yield what sd-scripts keeps of the old text of captions that change."""
    cached = [f for f in files if f.with_name(f.stem + _CACHED).exists()]
    if cached:
        yield (
            f"sd-scripts has the old text of {plural(len(cached), 'caption')} in its cache: delete "
            f"*{_CACHED} in the folder before you train"
        )


def _marked(steps: Iterable[Write]) -> Iterator[str]:
    marked = [step.file.name for step in steps if step.after.startswith(codecs.BOM_UTF8)]
    if marked:
        yield (
            f"{plural(len(marked), 'caption')} with a byte-order mark, which sd-scripts reads as "
            f"part of the caption: {marked[0]}{', ...' if marked[1:] else ''}"
        )


def _read(file: Path) -> tuple[bytes | None, str]:
    """Return a caption's bytes, or None and why it is left alone."""
    if file.is_symlink():
        return None, "it is a link to another file"
    if disk.is_read_only(file):
        return None, "it is read-only"
    try:
        data = disk.read(file)
    except OSError as error:
        return None, f"it cannot be read ({error.strerror})"
    return data, "" if data is not None else "the image has no caption"
