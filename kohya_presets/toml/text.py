r"""TOML that sd-scripts reads back exactly.

sd-scripts reads with `toml` 0.10.2, whose handling of escapes is its own: a literal string
('C:\models') has none and is used wherever TOML allows it. Same values, same bytes.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_HARMLESS = re.compile(r"[\w .=:/+()-]*", re.ASCII)  # read back by toml 0.10.2 in any list
_CONFUSING = re.compile(r"""[,\[\]{}#'"\\=\x00-\x1f\x7f]""")


def table(values: Mapping[str, Any]) -> str:
    """Return the lines `key = value` of one table, without its header."""
    return "".join(f"{key_text(key)} = {value_text(value)}\n" for key, value in values.items())


def document(
    tables: Mapping[str, Mapping[str, Any]], *, top: Mapping[str, Any] | None = None
) -> str:
    """Return a file of named tables, in order, after the `top` keys that belong to none."""
    parts = [table(top)] if top else []
    parts += [f"[{name}]\n{table(values)}" for name, values in tables.items()]
    return "\n".join(parts)


def key_text(key: str) -> str:
    """Return a bare key where TOML allows one, a quoted one otherwise."""
    bare = key and key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else value_text(key)


def value_text(value: Any) -> str:
    """Return `value` as TOML on one line.

    Raises:
        TypeError: TOML has no such value (None, for instance).
        ValueError: `toml` 0.10.2 would read something else (two quotes at the start of a string
            that needs escapes; some backslashes in lists of strings).
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | datetime.date():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case str():
            return _string(value)
        case Sequence():
            return _array([value_text(item) for item in value], value)
    raise TypeError(f"TOML has no value for {value!r}")


def _array(items: list[str], value: Sequence[Any]) -> str:
    # toml 0.10.2 splits an array before it looks at strings: a comma, bracket, quote or # inside
    # one may be taken for syntax, unless it is written as an escape.
    if _reads_back(text := f"[{', '.join(items)}]", value):
        return text
    escaped = [_escaped(item) if isinstance(item, str) else value_text(item) for item in value]
    if not _reads_back(text := f"[{', '.join(escaped)}]", value):
        raise ValueError(f"the TOML parser of sd-scripts misreads the list {list(value)!r}")
    return text


def _escaped(text: str) -> str:
    if text == '"' or text.startswith('""'):  # toml 0.10.2 undoes escapes before it strips quotes
        return _string(text)
    return f'"{_CONFUSING.sub(_escape, text)}"'


def _reads_back(text: str, value: Sequence[Any]) -> bool:
    if all(not isinstance(item, str) or _HARMLESS.fullmatch(item) for item in value):
        return True
    import toml  # here, not above: the light commands never get this far

    try:
        return bool(toml.loads(f"k = {text}")["k"] == list(value))
    except (ValueError, IndexError):
        return False


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def _string(text: str) -> str:
    plain = text.isprintable() and "'" not in text
    if plain and ("\\" in text or '"' in text):
        return f"'{text}'"
    if not plain and text.startswith('""'):
        raise ValueError(f"the TOML parser of sd-scripts misreads the string {text!r}")
    # JSON's escapes are TOML's. DEL is the one control character that JSON leaves alone.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
