"""Problems of a file or a plan, as values: all are found at once, and the caller prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kohya_presets import secrets

# sd-scripts stops, or trains otherwise than was meant without a word; a setting has no effect or
# another one than it says; others would choose otherwise; good to know.
Severity = Literal["error", "warning", "advice", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "advice", "note")
SHOWN = 3  # places, files or names that a message names
NAMED = 12  # further settings with the same problem that are named
SHORT, LONG = 3, 8  # letters: of shorter words, one letter makes another word
LAST = 10**9  # sorts problems without a line to the end


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
        return f"{self.masked(text)} [{self.code}]"

    def masked(self, text: str) -> str:
        """Return a text of this problem without the secrets that may be in it."""
        return secrets.masked_of(self.where.key or "", text)


def paragraph(problem: Problem, *, indent: str = "", also: Sequence[Problem] = ()) -> str:
    """Return a problem as a person reads it: what is wrong, and on a line of its own what to do.

    `also` are the same problem of other settings, or at other places.
    """
    lines = [f"{indent}{problem.severity}: {problem}"]
    lines += [f"{indent}  hint: {problem.masked(problem.hint)}"] if problem.hint else []
    lines += [f"{indent}  also: {_others(also, problem)}"] if also else []
    return "\n".join(lines)


def paragraphs(problems: Iterable[Problem], *, indent: str = "", advice: str = "") -> list[str]:
    """Return what a person reads of all problems, the gravest first, as lines grouped by problem.

    The same problem of several settings, or at several places, is told once. With `advice`, the
    command that shows it, advice is one line with a count.
    """
    told = []
    for severity, found in _by_severity(problems):
        if severity == "advice" and advice:
            told.append(f"{indent}advice: {plural(len(found), 'setting')} to think over: {advice}")
        else:
            told += [paragraph(one, indent=indent, also=also) for one, also in found]
    return told


def counts(problems: Iterable[Problem]) -> str:
    """Return how many errors and warnings there are: "2 errors, 1 warning"; "" for none."""
    found = {severity: len(same) for severity, same in _by_severity(problems)}
    return ", ".join(plural(found[name], name) for name in SEVERITIES[:2] if name in found)


def values(problem: Problem) -> dict[str, Any]:
    """Return a problem as a table for JSON, the same for every command."""
    where = problem.where
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": str(where.file) if where.file else None,
        "line": where.line,
        "key": where.key,
        "message": problem.masked(problem.message),
        "hint": problem.masked(problem.hint) if problem.hint else None,
    }


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems that must stop the caller."""
    return tuple(p for p in problems if p.severity == "error")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return "did you mean ...?" with up to three near names, or None when nothing is near."""
    import difflib  # slow to import, and most runs have no mistake to explain

    near = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else None


def misspelled(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` is but for a letter, or two in a long word, or None."""
    edits = 0 if len(word) < SHORT else 1 if len(word) < LONG else 2
    near = {name: _edits(word.lower(), name, edits) for name in known}
    best = min(near, key=near.__getitem__, default=None)
    return best if best is not None and near[best] <= edits else None


def _edits(word: str, other: str, most: int) -> int:
    """Return how many letters are missing, surplus, wrong or swapped; more than `most` if many."""
    if abs(len(word) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, start=1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            edits = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and (letter, word[i - 2]) == (other[j - 2], wanted):
                edits = min(edits, last[j - 2] + 1)
            row.append(edits)
        if min(row) > most:
            break
    return min(row) if min(row) > most else row[-1]


def listed(names: Iterable[str]) -> str:
    """Return names as in a sentence: "a", "a and b", "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def first(names: Sequence[str], most: int = SHOWN) -> str:
    """Return the first names, and how many more there are: "a, b, c and 2 more"."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def of_files(files: Sequence[Path], what: str, noun: str = "image") -> str:
    """Return what is so of some files, the first of them named: "5 images WHAT: a, b, c, ..."."""
    named = ", ".join(file.name for file in files[:SHOWN]) + (", ..." if files[SHOWN:] else "")
    return f"{plural(len(files), noun)} {what}: {named}"


def plural(count: int, noun: str) -> str:
    """Return "1 problem", "2 problems"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _by_severity(
    problems: Iterable[Problem],
) -> Iterator[tuple[Severity, list[tuple[Problem, list[Problem]]]]]:
    """Yield the problems of each severity by line, each with the same problem elsewhere."""
    same: dict[tuple[str, ...], list[Problem]] = {}
    for found in problems:
        same.setdefault(_kind(found), []).append(found)
    for severity in SEVERITIES:
        alone = [group for group in same.values() if group[0].severity == severity]
        for group in alone:
            group.sort(key=_line)
        alone.sort(key=lambda group: _line(group[0]))
        if alone:
            yield severity, [(one, others) for one, *others in alone]


def _line(problem: Problem) -> int:
    return problem.where.line or LAST


def _kind(problem: Problem) -> tuple[str, ...]:
    """Return what is alike in problems that differ in the setting and the lines.

    What to do about an error is told of each; of the others, `--json` tells it.
    """
    todo = (_general(problem, problem.hint),) if problem.severity == "error" else ()
    return (problem.code, problem.severity, _general(problem, problem.message), *todo)


def _general(problem: Problem, text: str | None) -> str:
    """Return a text about a problem without the name of its setting, and without lines."""
    text = re.sub(r"\bline \d+", "line", text or "")
    key = problem.where.key
    return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "KEY", text) if key else text


def _others(same: Sequence[Problem], told: Problem) -> str:
    """Return "line 4, line 12, line 20 and 397 more", with what else is another one there."""
    keys = {problem.where.key for problem in same} - {told.where.key}
    return first([_other(problem, told) for problem in same], NAMED if keys else SHOWN)


def _other(problem: Problem, told: Problem) -> str:
    where = problem.where
    if where.file != told.where.file or not where.line:
        return str(where)
    line = f"line {where.line}"
    return line if where.key == told.where.key else f"{where.key} ({line})"
