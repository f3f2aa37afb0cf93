"""The GUI's `additional_parameters`: options as words of a command line, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kohya_presets.gui.versions import values
from kohya_presets.sdscripts.options import Option
from kohya_presets.toml import text as toml_text

# From v24 on the GUI splits at white space and takes double quotes away; before, a shell reads it.
_SAFE = re.compile(r"[\w.,:=/+@%-]+", re.ASCII)


def of(option: str, value: Any) -> list[str] | None:
    """Return the words that give an option its value; None where they would not arrive whole."""
    if isinstance(value, bool):
        return [f"--{option}"] if value else None
    if isinstance(value, list | tuple):
        found = [f"--{option}", *map(_word, value)]
    else:
        found = [f"--{option}={_word(value)}"]
    return found if all(_SAFE.fullmatch(word) for word in found) else None


def read(text: str, known: Mapping[str, Option]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the options that the words give, and (words, why) of those that give none."""
    found: dict[str, Any] = {}
    lost: list[tuple[str, str]] = []
    for name, given in _groups(values.words(text)):
        said = " ".join([f"--{name}" if name else "", *given]).strip()
        option = known.get(name)
        if option is None:
            lost.append((said, "not an option of this script"))
        elif (value := _value(option, given)) is None:
            lost.append((said, f"not a valid value for {name}"))
        else:
            found[name] = value
    return found, lost


def _groups(words: list[str]) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found.append((name.replace("-", "_"), [value] if equals else []))
        elif found:
            found[-1][1].append(word)
        else:
            found.append(("", [word]))
    return found


def _value(option: Option, given: list[str]) -> Any:
    if option.type == "bool":
        return True if not given else None
    if option.type in ("strs", "floats"):
        return values.typed(option, given) if given else None
    return values.typed(option, given[0]) if len(given) == 1 else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else toml_text.value_text(value)
