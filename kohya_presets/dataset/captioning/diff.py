"""What changes in a file, as a person reads it: `- old` and `+ new`, safe to print."""

from __future__ import annotations

import difflib
import re

from kohya_presets.loras import escape

_LINE_END = re.compile(r"\r\n|\r|\n")


def of_bytes(before: bytes | None, after: bytes) -> list[str]:
    """Return the lines of a caption file that go and come; without those that stay."""
    old, new = _lines(before or b""), _lines(after)
    found = [*difflib.unified_diff(old, new, n=0, lineterm="")][2:]  # without the two names
    return [f"{line[0]} {escape.controls(line[1:])}" for line in found if line[0] in "-+"]


def of_names(old: str, new: str) -> list[str]:
    """Return the line of a name that goes and of the one that comes."""
    return [f"- {escape.controls(old)}", f"+ {escape.controls(new)}"]


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "backslashreplace")
    return _LINE_END.split(_LINE_END.sub("\n", text).removesuffix("\n")) if text else []
