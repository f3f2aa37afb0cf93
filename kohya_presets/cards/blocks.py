"""What a page consists of, before it is Markdown or HTML: every text in it is plain text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Strong:
    """Words in bold."""

    text: str


@dataclass(frozen=True)
class Code:
    """Words to be typed as they are."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link; `url` begins with http:// or https://."""

    text: str
    url: str


Inline = str | Strong | Code | Link
Line = tuple[Inline, ...]


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; the lines of it are broken where they are."""

    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Items:
    """A list with bullets."""

    items: tuple[Line, ...]


@dataclass(frozen=True)
class Pre:
    """Lines to be copied as they are."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Missing:
    """A gap that the author has not filled in, marked so that nobody overlooks it."""

    text: str


Block = Heading | Paragraph | Items | Pre | Missing


def paragraph(*parts: Inline) -> Paragraph:
    """Return a paragraph of one line."""
    return Paragraph((tuple(parts),))


def plain(text: str) -> list[Block]:
    """Return what an author wrote as plain text: paragraphs, and lists of lines with "- "."""
    made: list[Block] = []
    for part in text.strip().split("\n\n"):
        lines = [line.strip() for line in part.splitlines() if line.strip()]
        while lines:
            is_item = lines[0].startswith("- ")
            same = 0
            while same < len(lines) and lines[same].startswith("- ") == is_item:
                same += 1
            taken, lines = lines[:same], lines[same:]
            if is_item:
                made.append(Items(tuple((line[2:].strip(),) for line in taken)))
            else:
                made.append(Paragraph(tuple((line,) for line in taken)))
    return made


def address(text: str) -> str | None:
    """Return a URL that may be a link; None for one that a browser would execute, or no URL."""
    is_web = text.startswith(("https://", "http://"))
    return text if is_web and text.isprintable() and not set(text) & set(" <>\"'`\\") else None
