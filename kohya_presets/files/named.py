"""The dataset config that a training config names, wherever sd-scripts is going to start."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Named(NamedTuple):
    """A file, and the folder in which sd-scripts must start to find it; None if here will do."""

    file: Path
    start: Path | None = None


def find(config: Path, name: str) -> Named | None:
    """Return the file that the training config `config` calls `name`, if there is one.

    sd-scripts looks from the folder in which it starts, which is not known. That may be the
    config's own folder, the one we are in, or one around the config, such as its repository's root.
    """
    here = Path(name)
    own = config.absolute().parent
    if not _is_file(own / name) and _is_file(here):
        return Named(here)
    for start in (own, *own.parents):
        if _is_file(start / name):
            is_here = _is_file(here) and here.samefile(start / name)
            return Named(here if is_here else start / name, None if is_here else start)
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the system
        return False
