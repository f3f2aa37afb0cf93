"""What a file says of itself, made safe to print: it may be anybody's."""

from __future__ import annotations

import unicodedata

# Control characters, what changes the direction of text, halves of characters, and line ends:
# a terminal obeys some of them.
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def controls(text: str) -> str:
    """Return `text` on one line, with its control characters as a Python literal shows them."""
    return "".join(_escaped(c) if unicodedata.category(c) in _UNSAFE else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
