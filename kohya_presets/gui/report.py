"""What an import or export did with each key of a file or each setting of a preset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from kohya_presets import secrets

Kind = Literal["mapped", "renamed", "converted", "default", "added", "dropped", "lost", "note"]
# "default": the same as the default. "lost": this version cannot express it.
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
    """One key: what was done with it, and why or with what result."""

    kind: Kind
    what: str
    why: str = ""

    def __str__(self) -> str:
        line = f"{self.kind:<10}{self.what}" + (f": {self.why}" if self.why else "")
        return secrets.masked(line)


def counts(items: Iterable[Item]) -> str:
    """Return "12 mapped, 3 dropped" for all kinds that occur."""
    kinds = [item.kind for item in items]
    counted = [(kind, kinds.count(kind)) for kind in reversed(ORDER) if kind in kinds]
    return ", ".join(f"{count} {kind}" for kind, count in counted)


def told(items: Iterable[Item], *, all_: bool = False) -> list[str]:
    """Return the lines for a person, the most important first; `all_` adds unchanged settings."""
    plain = () if all_ else ("mapped", "default")
    shown = [item for item in items if item.kind not in plain]
    return [str(item) for item in sorted(shown, key=lambda item: ORDER.index(item.kind))]
