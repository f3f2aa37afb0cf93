"""A page of docs with a table for each severity, made by code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from kohya_presets.problems import SEVERITIES, Severity


class Told(Protocol):
    """What a row is about."""

    @property
    def code(self) -> str:
        """Its name, by which rows are sorted."""

    @property
    def severity(self) -> Severity:
        """The table it is in."""


One = TypeVar("One", bound=Told)


def page(
    head: str, columns: Sequence[str], every: Iterable[One], cells: Callable[[One], Sequence[str]]
) -> str:
    """Return a page: its head, then the tables; each row begins with the code."""
    return head + "\n".join(_tables(columns, list(every), cells)) + "\n"


def _tables(
    columns: Sequence[str], every: Sequence[One], cells: Callable[[One], Sequence[str]]
) -> Iterator[str]:
    for severity in SEVERITIES:
        found = sorted((o for o in every if o.severity == severity), key=lambda one: one.code)
        if found:
            yield f"\n## {severity.capitalize()}{'' if severity == 'advice' else 's'}\n"
            yield f"| code | {' | '.join(columns)} |"
            yield "|---" * (len(columns) + 1) + "|"
            for one in found:
                row = (cell.replace("|", "\\|") for cell in cells(one))
                yield f"| `{one.code}` | {' | '.join(row)} |"
