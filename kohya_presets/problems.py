"""Problems of a file or a plan, as values: all are found at once, and the caller prints them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning"]


class Place(NamedTuple):
    """Where in the user's files a problem lies; any part may be unknown."""

    file: Path | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        spot = str(self.file) if self.file else ""
        if self.line is not None:
            spot = f"{spot}:{self.line}"
        return ": ".join(part for part in (spot, self.key) if part)


class Problem(NamedTuple):
    """One fault: a stable `code`, where it is, what was expected and found, what to do next."""

    code: str
    severity: Severity
    where: Place
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        where = str(self.where)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} [{self.code}]"


def paragraph(problem: Problem, *, indent: str = "") -> str:
    """Return a problem as a person reads it: what is wrong, and on a line of its own what to do."""
    lines = [f"{indent}{problem.severity}: {problem}"]
    lines += [f"{indent}  hint: {problem.hint}"] if problem.hint else []
    return "\n".join(lines)


def values(problem: Problem) -> dict[str, Any]:
    """Return a problem as a table for JSON, the same for every command."""
    where = problem.where
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": str(where.file) if where.file else None,
        "line": where.line,
        "key": where.key,
        "message": problem.message,
        "hint": problem.hint,
    }


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems that must stop the caller."""
    return tuple(p for p in problems if p.severity == "error")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return "did you mean ...?" with up to three near names, or None when nothing is near."""
    import difflib  # slow to import, and most runs have no mistake to explain

    near = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else None


def listed(names: Iterable[str]) -> str:
    """Return names as in a sentence: "a", "a and b", "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def plural(count: int, noun: str) -> str:
    """Return "1 problem", "2 problems"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
