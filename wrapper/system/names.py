"""Names that become files and folders: the same ones on every system, and in every shell."""

from __future__ import annotations

import re
import unicodedata

from kohya_presets.errors import UserError

LONGEST = 150  # bytes; a file system takes 255, and sd-scripts adds endings such as -000001-state
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
# Devices of Windows, with any ending: writing NUL.safetensors writes nothing at all.
_DEVICE = re.compile(r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.I)
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # control, half a letter, line end, paragraph end


def usable(text: str) -> str:
    """Return `text` if it can be the name of a file or folder everywhere.

    Raises:
        UserError: it cannot; the message says why.
    """
    if found := fault(text):
        hint = 'Choose another name: without / \\ : * ? " < > | and line ends, no dash at the '
        hint += "beginning, no dot or space at the beginning or end."
        raise UserError(f"{text!r} cannot be used as a file name: {found}", hint=hint)
    return text


def fault(text: str, *, longest: int = LONGEST) -> str | None:
    """Return why a name cannot be used everywhere; `longest` is in bytes of UTF-8."""
    if not text.strip(". "):
        return "it is empty"
    if any(unicodedata.category(letter) in _CONTROL for letter in text):
        return "it has a line end or another control character"
    if found := _FORBIDDEN.search(text):
        return f"it has the character {found[0]}"
    if text.strip(". ") != text or text.strip() != text:
        return "it begins or ends with a dot or a space"
    if text.startswith("-"):
        return "it begins with a dash, so commands take it for an option"
    if _DEVICE.fullmatch(text.partition(".")[0].strip()):
        return "Windows keeps this name for a device"
    if len(text.encode("utf-8")) > longest:
        return f"it is longer than {longest} bytes"
    return None
