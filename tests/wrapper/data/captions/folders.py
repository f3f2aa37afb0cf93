"""Folders of made images and captions, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wrapper.system import paths


def made(folder: Path, captions: Mapping[str, bytes | None]) -> Path:
    """Make an image for each name, with its caption; None: without one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, caption in captions.items():
        (folder / f"{name}.png").write_bytes(f"image {name}".encode())
        if caption is not None:
            (folder / f"{name}.txt").write_bytes(caption)
    return folder


def held(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def undo_files() -> list[Path]:
    """Return the undo files, the newest last."""
    return sorted((paths.home() / "undo").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
