"""Images with captions, in a folder whose name has a space and a letter that is not ASCII."""

from __future__ import annotations

from pathlib import Path

from tests.wrapper.data import odd_pictures


def folder(around: Path, count: int = 3, side: int = 1024) -> Path:
    """Return a new folder of so many images of `side` pixels, each with its caption."""
    made = around / "my pictures ü"
    made.mkdir(parents=True)
    for number in range(count):
        odd_pictures.drawn(number, (side, side)).save(made / f"korra {number} é.png")
        (made / f"korra {number} é.txt").write_text(f"korra, number {number}", "utf-8")
    return made
