"""A text of a user's, as a page shows it: what cannot be seen is written out."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # letters of Persian and emoji need them
_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Co", "Cn")  # control, format, separators, not characters


def visible(text: str) -> str:
    """Return a text with everything in it that cannot be seen written out: <U+202E>.

    Those are control characters (a terminal's escapes too), marks that turn the direction of
    writing, and bytes of a file's name that are not UTF-8. Line feeds and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # as os.fsdecode has a byte that it cannot decode
        return written(f"byte {ord(sign) - 0xDC00:02X}")
    if "\ud800" <= sign <= "\udfff":
        return written(f"U+{ord(sign):04X}")
    if sign in "\n\t" or sign in _JOINERS or "\U000e0020" <= sign <= "\U000e007f":
        return sign  # the last: parts of flags
    seen = unicodedata.category(sign) not in _UNSEEN
    return sign if seen else written(f"U+{ord(sign):04X}")


def written(said: str) -> str:
    """Return a remark of ours within a text that is not ours."""
    return f"\u2039{said}\u203a"  # small angle quotation marks, which are rare in captions
