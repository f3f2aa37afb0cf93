"""Edits of a caption file: bytes in, bytes out.

sd-scripts reads the first line alone, or with enable_wildcard every line that is not blank
(library/train_util.py, read_caption; library/dreambooth_dataset.py from v0.11.0 on). So an edit
changes the first line, or with `all_lines` every line that has text. A byte-order mark, line ends
and the spaces around a line stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

MARK = "\ufeff"
Where = Literal["before-noun", "front", "end"]
# Who a caption is about, where no noun is given. Only people: of a car beside a dog, nobody knows.
PEOPLE = (
    *("woman", "man", "girl", "boy", "person", "lady", "gentleman", "guy", "femme", "female"),
    *("male", "child", "kid", "toddler", "baby", "teenager", "character"),
)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # as Python reads text: no other line ends
_SENTENCE_ENDS = (*".!?,;:", "\u3002", "\uff01", "\uff1f", "\u3001", "\uff0c")
_FIRST_UNSPACED = "\u2e80"  # from here on, scripts that write words without spaces (Han, Kana)


@dataclass(frozen=True)
class Trigger:
    """A token and where it goes: before the first of `nouns` in the caption, or at an end of it."""

    token: str
    where: Where = "before-noun"
    nouns: tuple[str, ...] = PEOPLE


@dataclass(frozen=True)
class Edits:
    """What is to be done to each caption, in the order of these fields."""

    first_line: bool = False
    replacements: tuple[tuple[str, str], ...] = ()
    trigger: Trigger | None = None
    prefix: str = ""
    all_lines: bool = False


class Edited(NamedTuple):
    """The new bytes of a caption file; None where it is left alone, and `why`."""

    data: bytes | None
    why: str = ""


class LeftAloneError(Exception):
    """A caption to which an edit cannot be made; the message says why."""


def edited(data: bytes, edits: Edits) -> Edited:
    """Return a caption file after all `edits`, or why it is left alone as a whole."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Edited(None, "it is not UTF-8")
    mark, text = (MARK, text[1:]) if text.startswith(MARK) else ("", text)
    lines = _LINE.findall(text)
    try:
        lines = _kept(lines) if edits.first_line else lines
        changed = "".join(_each(lines, edits))
    except LeftAloneError as error:
        return Edited(None, str(error))
    return Edited((mark + changed).encode("utf-8"))


def with_trigger(text: str, trigger: Trigger) -> str:
    """Return a caption with the token in its place; the same one where it has the token already.

    Raises:
        LeftAloneError: it has none of the nouns.
    """
    if re.search(rf"(?<!\w){re.escape(trigger.token)}(?!\w)", text, re.IGNORECASE):
        return text
    if trigger.where == "front":
        return f"{trigger.token}, {text}"
    if trigger.where == "end":
        return f"{text}{' ' if text.endswith(_SENTENCE_ENDS) else ', '}{trigger.token}"
    if not (noun := _noun(text, trigger.nouns)):
        looked = ", ".join(trigger.nouns) if trigger.nouns != PEOPLE else "for a person"
        raise LeftAloneError(f"no noun was found in it (looked for {looked.removeprefix('for ')})")
    return f"{text[: noun.start()]}{trigger.token} {text[noun.start() :]}"


def _kept(lines: list[str]) -> list[str]:
    """Return the first line alone, where losing the others loses nothing that is read."""
    if lines[1:] and not lines[0].strip():
        raise LeftAloneError("its first line is empty, and the caption would be lost")
    return lines[:1]


def _each(lines: list[str], edits: Edits) -> Iterable[str]:
    """Yield every line, those edited that an edit is about."""
    if not any(line.strip() for line in lines):
        raise LeftAloneError("it is empty")
    for number, line in enumerate(lines):
        if number and (not edits.all_lines or not line.strip()):
            yield line
            continue
        body = line.strip()
        if not body and edits.all_lines:
            yield line
            continue
        if not body:
            raise LeftAloneError("its first line is empty, so sd-scripts reads no caption from it")
        before = line[: line.index(body)]
        yield before + _edited_line(body, edits) + line[len(before) + len(body) :]


def _edited_line(text: str, edits: Edits) -> str:
    for old, new in edits.replacements:
        text = text.replace(old, new)
    if not text.strip():
        raise LeftAloneError("it would become empty, and sd-scripts stops at an empty caption")
    if edits.trigger:
        text = with_trigger(text, edits.trigger)
    return text if text.startswith(edits.prefix) else edits.prefix + text


def _noun(text: str, nouns: tuple[str, ...]) -> re.Match[str] | None:
    """Return the first place of one of `nouns` in a caption, as a word of its own."""
    longest_first = sorted(nouns, key=len, reverse=True)
    return re.search("|".join(map(_word, longest_first)), text, re.IGNORECASE)


def _word(noun: str) -> str:
    """Return what matches a noun, but no part of a longer word: not the man of woman, man-made."""
    start = r"(?<![\w-])" if noun[0] < _FIRST_UNSPACED else ""
    end = r"(?![\w-])" if noun[-1] < _FIRST_UNSPACED else ""
    return f"{start}{re.escape(noun)}{end}"
