"""Everything that training wrote stays: moved into the run's folders, or set aside, never deleted.

sd-scripts writes all of it into one folder: the model, checkpoints on the way, whole states of the
training and sample pictures. `runner` makes that folder anew for each attempt.
"""

from __future__ import annotations

from pathlib import Path

SAMPLES, STATES = "sample", "-state"  # as sd-scripts calls the folder, and ends the names of others


def set_aside(folder: Path) -> Path | None:
    """Return the new name of what an earlier attempt left in `folder`; None where it left nothing.

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

    Nothing there is overwritten: what comes second gets a number at the end of its name.
    """
    for found in sorted(folder.iterdir()):
        into = beside
        if found.is_dir() and found.name == SAMPLES:
            for picture in sorted(found.iterdir()):
                _move(picture, run / "samples")
            found.rmdir()
            continue
        if found.is_dir() and found.name.endswith(STATES):
            into = run / "states"
        _move(found, into)
    folder.rmdir()


def free_name(wanted: Path) -> Path:
    """Return `wanted`, or where that is taken the first of "NAME-2", "NAME-3" ... that is not."""
    name, number = wanted, 1
    while name.exists():
        number += 1
        name = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return name


def _move(found: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    found.rename(free_name(into / found.name))
