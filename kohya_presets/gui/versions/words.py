"""The GUI's `additional_parameters`: options as words of a command line, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.gui.versions import values
from kohya_presets.sdscripts.options import Option
from kohya_presets.toml import text as toml_text

# From v24 on the GUI splits at white space and removes double quotes; before, a shell does it.
_SAFE = re.compile(r"[\w.,:=/+@%-]+", re.ASCII)
# What a shell reads inside double quotes; in Windows a \ separates folders.
_SHELL = re.compile(r"[`$\"\\\r\n]")
_WINDOWS_SHELL = re.compile(r"[%\"\r\n]")


def of(option: str, value: Any) -> list[str] | None:
    """Return the words that set an option; None if the GUI would change them."""
    if isinstance(value, bool):
        return [f"--{option}"] if value else None
    if isinstance(value, list | tuple):
        found = [f"--{option}", *map(_word, value)]
    else:
        found = [f"--{option}={_word(value)}"]
    return found if all(_SAFE.fullmatch(word) for word in found) else None


def of_path(option: str, path: PurePath) -> str:
    """Return the word that sets an option to a path, for a version that hands it to a shell.

    Raises:
        UserError: the shell would read a part of the path as a command or a variable.
    """
    odd = _WINDOWS_SHELL if isinstance(path, PureWindowsPath) else _SHELL
    if found := odd.search(str(path)):
        raise UserError(
            f"cannot hand {path} to this version of the GUI: it starts the training in a shell, "
            f"which does not read {found[0]!r} as part of a path",
            hint="Use a folder without it, or Kohya GUI v24.0.0 or newer.",
        )
    return f'--{option}="{path}"'


def survives_shell(value: Any) -> bool:
    """Return whether a shell leaves a value of a field as it is; the GUI quotes with `"`."""
    if isinstance(value, list):
        return all(_SAFE.fullmatch(_word(item)) for item in value)
    return not (isinstance(value, str) and _SHELL.search(value))


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
    if option.type in ("strs", "float or floats"):
        return values.typed(option, given) if given else None
    return values.typed(option, given[0]) if len(given) == 1 else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else toml_text.value_text(value)
