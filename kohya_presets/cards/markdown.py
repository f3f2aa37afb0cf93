"""Blocks as Markdown: whatever a text says, it stays text.

CommonMark 0.31 (https://spec.commonmark.org): any ASCII punctuation can be escaped with a
backslash; "<" and "&" are written as entities, which no filter for HTML misreads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kohya_presets.cards.blocks import (
    Block,
    Code,
    Heading,
    Inline,
    Items,
    Line,
    Link,
    Missing,
    Paragraph,
    Pre,
    Strong,
)
from kohya_presets.loras import escape

_SPECIAL = re.compile(r"[\\`*_\[\]~|$]")  # $: formulas, on Hugging Face
_STARTS = re.compile(r"^(\s*)([#+=-]|\d{1,9}(?=[.)]))")  # headings, lists, rules
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def text(blocks: Sequence[Block]) -> str:
    """Return a page as Markdown; its last line is ended."""
    return "\n\n".join(map(_block, blocks)) + "\n"


def escaped(said: str) -> str:
    """Return a text for a place in the middle of a line."""
    said = _SPECIAL.sub(r"\\\g<0>", escape.controls(said))
    return "".join(_ENTITIES.get(sign, sign) for sign in said)


def _block(block: Block) -> str:
    match block:
        case Heading(level, said):
            return f"{'#' * level} {_start(escaped(said.strip()))}"
        case Paragraph(lines):
            return "\\\n".join(map(_line, lines))
        case Items(items):
            return "\n".join(f"- {_line(item)}" for item in items)
        case Pre(said, language):
            return _fenced(said, language)
        case Missing(said):
            return f"> **{escaped(said)}**"


def _line(line: Line) -> str:
    return _start("".join(map(_inline, line)).strip())


def _start(said: str) -> str:
    """Return a line that begins with no list, heading or rule."""
    found = _STARTS.match(said)
    if not found:
        return said
    if found[2].isdigit():
        return f"{said[: found.end()]}\\{said[found.end() :]}"
    return f"{found[1]}\\{said[found.start(2) :]}"


def _inline(part: Inline) -> str:
    match part:
        case Strong(said):
            return f"**{escaped(said.strip())}**" if said.strip() else ""
        case Code(said):
            return _code(said)
        case Link(said, url):
            return f"[{escaped(said)}](<{url}>)"
        case str():
            return escaped(part)


def _code(said: str) -> str:
    """Return a code span; nothing is escaped in it, so its fence is longer than any in it."""
    said = escape.controls(said)
    fence = "`" * (_longest(said) + 1)
    edge = " " if said.startswith(("`", " ")) or said.endswith(("`", " ")) else ""
    return f"{fence}{edge}{said}{edge}{fence}" if said.strip() else ""


def _fenced(said: str, language: str) -> str:
    fence = "`" * max(3, _longest(said) + 1)
    lines = "\n".join(escape.controls(line) for line in said.splitlines())
    return f"{fence}{language}\n{lines}\n{fence}"


def _longest(said: str) -> int:
    return max(map(len, re.findall("`+", said)), default=0)
