"""Keep everything that training wrote: each file has its place in the run, and none is deleted.

Training writes models and checkpoints where they belong. Beside them sd-scripts makes folders of
samples and of states, which move to `samples/` and `states/` when it has ended, however it ended.
Runs of earlier versions let it write all into `work/train`, and move all of it in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kohya_presets.loras import weights

SAMPLES, STATES = "sample", "-state"  # as sd-scripts calls the folder, and ends the names of others
UNFINISHED = ".part"


def set_aside(folder: Path) -> Path | None:
    """Return the new name of what an earlier attempt left in `folder`; None if it left no files.

    An empty folder is removed.
    """
    if not folder.exists():
        return None
    if not any(folder.iterdir()):
        folder.rmdir()
        return None
    return folder.rename(free_name(folder.with_name(f"{folder.name}-earlier")))


def move_in(folder: Path, run: Path, beside: Path) -> None:
    """Move all that is in `folder` into the run: `samples/`, `states/`, the rest to `beside`.

    No file is overwritten: a second one of the same name gets a number at the end.
    """
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.name == SAMPLES:
            for picture in sorted(entry.iterdir()):
                _move(picture, run / "samples")
            entry.rmdir()
        elif entry.is_dir() and entry.name.endswith(STATES):
            _move(entry, run / "states")
        elif folder != beside:
            _move(entry, beside)
    if folder != beside:
        folder.rmdir()


def mark_unfinished(folder: Path) -> Iterator[Path]:
    """Give each file of weights that was not written to its end another name; yield that.

    Nobody must take the first half of a model for a model.
    """
    for file in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
        if not weights.is_whole(file):
            yield file.rename(free_name(file.with_name(file.name + UNFINISHED)))


def free_name(wanted: Path) -> Path:
    """Return `wanted`, or if that exists the first of "NAME-2", "NAME-3" ... that does not."""
    name, number = wanted, 1
    while name.exists():
        number += 1
        name = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return name


def _move(entry: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    entry.rename(free_name(into / entry.name))
