"""Folders that hold states: written beside and renamed, so that a state that exists is whole.

Runs inside sd-scripts: the standard library only, Python 3.10.

    NAME-states/step00000120/kp_resume.json    the manifest: what is here, and where it was saved
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FORMAT = 1
MANIFEST = "kp_resume.json"
_PART, _OLD = ".part", ".old"
_OURS = re.compile(r"step\d{8,}(\.part|\.old)?")


def read(state: Path) -> dict[str, Any] | None:
    """Return the manifest of a state, or None if the folder has none.

    Raises:
        ValueError: a newer version of the patch has written it, or it is damaged.
    """
    file = state / MANIFEST
    try:
        found = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is damaged: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{file} is of another version of the patch; expected format {FORMAT}")
    return found


def newest(folder: Path) -> Path | None:
    """Return the state in `folder` that was saved last, or None."""
    return next(iter(_by_time(folder)), None)


def part(folder: Path, step: int) -> Path:
    """Return where the state of a step is written; `finish` gives it its name."""
    return folder / f"step{step:08d}{_PART}"


def make(part: Path) -> None:
    """Make an empty folder to write a state into."""
    remove(part)
    part.mkdir(parents=True)


def finish(part: Path, manifest: Mapping[str, Any], begun: float) -> tuple[Path, dict[str, Any]]:
    """Give a state that is written its name; return that, and the manifest as it was written.

    `begun` is when the writing began, by `time.monotonic()`.
    """
    for file in _files(part):
        _to_disk(file)
    seconds = round(time.monotonic() - begun, 3)
    written = write(part, {**manifest, "seconds": seconds})
    _to_disk(part)
    state = part.with_name(part.name.removesuffix(_PART))
    if state.exists():
        old = state.with_name(state.name + _OLD)
        remove(old)
        state.rename(old)
    part.rename(state)
    _to_disk(state.parent)
    remove(state.with_name(state.name + _OLD))
    return state, written


def write(state: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a state, with its size; return it."""
    (state / MANIFEST).unlink(missing_ok=True)
    size = sum(file.stat().st_size for file in _files(state))
    whole = {"format": FORMAT, **manifest, "bytes": size, "saved": time.time()}
    beside = state / (MANIFEST + _PART)
    beside.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    _to_disk(beside)
    beside.replace(state / MANIFEST)
    return whole


def prune(folder: Path, keep: int) -> None:
    """Delete all states in `folder` but those `keep` that were saved last."""
    for state in _by_time(folder)[keep:]:
        remove(state)


def remove(folder: Path) -> None:
    """Delete a state; its manifest first, so that half a state is none."""
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def clear_up(folder: Path) -> None:
    """Delete what a process that was killed while it saved has left in `folder`."""
    for found in _folders(folder):
        if found.name.endswith(_OLD):
            state = found.with_name(found.name.removesuffix(_OLD))
            if not state.exists():
                found.rename(state)
                continue
        if found.suffix in (_PART, _OLD):
            remove(found)


def _by_time(folder: Path) -> list[Path]:
    """Return the whole states in `folder`, the one saved last first."""
    found = []
    for state in _folders(folder):
        if not state.suffix:
            with contextlib.suppress(ValueError):
                if manifest := read(state):
                    found.append((manifest.get("saved", 0), manifest.get("step", 0), state))
    return [state for *_, state in sorted(found, reverse=True)]


def _files(state: Path) -> list[Path]:
    return [file for file in state.rglob("*") if file.is_file()]


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from [f for f in folder.iterdir() if _OURS.fullmatch(f.name) and f.is_dir()]


def _to_disk(path: Path) -> None:
    if os.name != "posix" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
