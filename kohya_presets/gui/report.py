"""What became of each key of a file, or of each setting of a preset, in going over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Kind = Literal["mapped", "renamed", "converted", "default", "added", "dropped", "lost", "note"]
# "default": it says what holds anyway. "lost": the version has no way to say it.
ORDER: tuple[Kind, ...] = (
    "lost",
    "dropped",
    "note",
    "added",
    "converted",
    "renamed",
    "mapped",
    "default",
)


class Item(NamedTuple):
    """One thing that was done: to what, and what came of it or why."""

    kind: Kind
    what: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.kind:<10}{self.what}" + (f": {self.why}" if self.why else "")


def counts(items: Iterable[Item]) -> str:
    """Return "12 mapped, 3 dropped" for all kinds there are."""
    listed = [item.kind for item in items]
    there = [(kind, listed.count(kind)) for kind in reversed(ORDER) if kind in listed]
    return ", ".join(f"{count} {kind}" for kind, count in there)


def told(items: Iterable[Item], *, all_: bool = False) -> list[str]:
    """Return the lines for a person, weightiest first; what was plainly mapped only on demand."""
    plain = () if all_ else ("mapped", "default")
    shown = [item for item in items if item.kind not in plain]
    return [str(item) for item in sorted(shown, key=lambda item: ORDER.index(item.kind))]
