"""Keep everything that training wrote: move it into the run's folders or aside, never delete it.

sd-scripts writes all of it into one folder: the model, checkpoints on the way, whole states of the
training and sample pictures. `runner` creates a new one for each attempt.
"""

from __future__ import annotations

from pathlib import Path

SAMPLES, STATES = "sample", "-state"  # as sd-scripts calls the folder, and ends the names of others


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
    for entry in sorted(folder.iterdir()):
        into = beside
        if entry.is_dir() and entry.name == SAMPLES:
            for picture in sorted(entry.iterdir()):
                _move(picture, run / "samples")
            entry.rmdir()
            continue
        if entry.is_dir() and entry.name.endswith(STATES):
            into = run / "states"
        _move(entry, into)
    folder.rmdir()


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
