"""TOML as its author wrote it: the values, and the line of each.

TOML libraries for Python do not say where a value was written, and they stop at the first error.
A person with three errors in a file should see three messages, each with its line.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.problems import Place, Problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Key = tuple[str, ...]


class Statement(NamedTuple):
    """A table header or a `key = value`, on the lines `line` to `end` (1-based, inclusive)."""

    key: Key  # from the root of the file
    line: int
    end: int
    is_table: bool


@dataclass(frozen=True)
class Source:
    """What a TOML file says; `problems` is not empty when part of it could not be understood."""

    file: Path | None
    values: Mapping[str, Any]
    text: str = ""
    problems: tuple[Problem, ...] = ()

    def place(self, *key: str) -> Place:
        """Return where `key` was written, or else the nearest table around it."""
        lines = _lines(self.text)
        nearest = next((key[:n] for n in range(len(key), 0, -1) if key[:n] in lines), None)
        return Place(self.file, lines[nearest] if nearest else None, ".".join(key))


def parse(text: str, file: Path | None = None) -> Source:
    """Return the values of `text`; a key written twice keeps its first value."""
    try:
        return Source(file, tomllib.loads(text), text)
    except tomllib.TOMLDecodeError:
        # Only now is it worth the time to look at each statement.
        twice = _repeated(text)
    lines = _lines(text)
    problems = [
        Problem(
            "duplicate-key",
            "error",
            Place(file, again.line, ".".join(again.key)),
            f"duplicate key (first defined on line {lines[again.key]})",
            "Delete one of the two.",
        )
        for again in twice
    ]
    try:
        values = tomllib.loads(_without(text, twice))
    except tomllib.TOMLDecodeError as error:
        problems.append(_syntax_problem(str(error), file))
        values = {}
    return Source(file, values, text, tuple(problems))


def read(file: Path) -> Source:
    """Return `parse` of a file. A byte order mark, as Windows editors write it, is not content.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        return parse(file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"), file)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"expected UTF-8 text, found the byte 0x{error.object[error.start]:02x}"
        hint = "Save the file as UTF-8."
        problem = Problem("not-utf8", "error", Place(file, line), message, hint)
        return Source(file, {}, "", (problem,))


def value(text: str) -> Any:
    """Return the TOML value written in `text`.

    Raises:
        ValueError: `text` is not a TOML value.
    """
    return tomllib.loads(f"value = {text}")["value"]


def statements(text: str) -> Iterator[Statement]:
    """Yield every table header and assignment of `text`, in order, even beside broken values.

    The second `[[name]]` has the key ("name", "1"), as an element of a list has its number.
    """
    table: Key = ()
    elements: Counter[Key] = Counter()
    for start, end, body in _chunks(text):
        if body.startswith("["):
            table = _key(body.split("#")[0].strip().strip("[]"))
            if body.startswith("[["):
                elements[table] += 1
                table = (*table, str(elements[table] - 1))
            yield Statement(table, start, end, is_table=True)
        elif "=" in body:
            yield Statement((*table, *_key(_before_equals(body))), start, end, is_table=False)


@functools.cache
def _lines(text: str) -> Mapping[Key, int]:
    """Return the line on which each key was first written."""
    lines: dict[Key, int] = {}
    for statement in statements(text):
        lines.setdefault(statement.key, statement.line)
    return lines


def _repeated(text: str) -> list[Statement]:
    seen: set[Key] = set()
    twice = []
    for statement in statements(text):
        if statement.key in seen:
            twice.append(statement)
        seen.add(statement.key)
    return twice


@functools.cache
def _token() -> re.Pattern[str]:
    return re.compile(
        r'"""(?:\\.|[^\\])*?"""'  # strings of several lines come first: they open like empty ones
        r"|'''.*?'''"
        r'|"(?:\\.|[^"\\\n])*"'
        r"|'[^'\n]*'"
        r"|#[^\n]*"
        r"|\n|.",
        re.DOTALL,
    )


def _chunks(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (first line, last line, text) of each statement.

    A statement ends at a newline outside strings and brackets.
    """
    line, start, depth, body = 1, 1, 0, ""
    for token in (match.group() for match in _token().finditer(text + "\n")):
        if token == "\n" and depth <= 0:
            if body.strip():
                yield start, line, body.strip()
            line, start, depth, body = line + 1, line + 1, 0, ""
            continue
        line += token.count("\n")
        if token.startswith("#"):
            continue
        header = not body.strip() and token == "["  # its brackets close on the same line
        depth += 0 if header or body.lstrip().startswith("[") else _nesting(token)
        body += token


def _nesting(token: str) -> int:
    return {"[": 1, "{": 1, "]": -1, "}": -1}.get(token, 0)


def _before_equals(body: str) -> str:
    head = ""
    for token in (match.group() for match in _token().finditer(body)):
        if token == "=":
            break
        head += token
    return head.strip()


def _key(text: str) -> Key:
    if re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        return tuple(text.split("."))
    try:
        node: Any = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return (text,)
    key = []
    while isinstance(node, dict):
        ((name, node),) = node.items()
        key.append(name)
    return tuple(key)


def _without(text: str, unwanted: list[Statement]) -> str:
    """Return `text` with these statements blanked, its line numbers unchanged."""
    lines = text.split("\n")
    for statement in unwanted:
        for number in range(statement.line - 1, statement.end):
            lines[number] = ""
    return "\n".join(lines)


def _syntax_problem(message: str, file: Path | None) -> Problem:
    at = re.search(r"\(at line (\d+), column (\d+)\)", message)
    reason = re.sub(r" \(at .*\)$", "", message)
    where = Place(file, int(at.group(1)) if at else None)
    hint = "Put strings in quotes. Put a Windows path in single quotes: 'C:\\models'."
    return Problem("toml-syntax", "error", where, f"not valid TOML: {reason}", hint)
