"""sd-scripts' own options: their names, types, choices and defaults, and which release began them.

Read from the sources by `tools/make_options.py`; an option that changed is as its newest release
has it (none was ever removed or renamed).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

FACTS = Path(__file__).parent / "facts" / "options.json"
SCRIPTS = (
    "sdxl_train.py",
    "sdxl_train_network.py",
    "networks/extract_lora_from_models.py",
    "networks/resize_lora.py",
)
# What each type is called to a person, and how it is recognized. A bool is no number here.
_TYPES: Mapping[str, tuple[str, Any]] = {
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "int": ("a whole number", lambda v: _int(v)),
    "float": ("a number", lambda v: _number(v)),
    "strict float": ("a number with a decimal point", lambda v: isinstance(v, float)),
    "str": ("a string", lambda v: isinstance(v, str)),
    "int or float": ("a number", lambda v: _number(v)),
    "strs": ("a list of strings", lambda v: _all(v, lambda x: isinstance(x, str))),
    "floats": ("a list of numbers", lambda v: _all(v, _number)),
    "ints": ("a list of whole numbers", lambda v: _all(v, _int)),
    "table": ("a table", lambda v: isinstance(v, dict)),
    "float pair": ("two numbers", lambda v: _all(v, _number) and len(v) == 2),
    "int or int pair": (
        "a whole number or two, such as [1024, 1024]",
        lambda v: _int(v) or (_all(v, _int) and len(v) == 2),
    ),
}


class Option(NamedTuple):
    """One option; `level` is the part of the dataset file it belongs to, None elsewhere.

    `choices_since` has the first release of each choice, as text, that is younger than the option.
    """

    name: str
    type: str
    choices: tuple[Any, ...] = ()
    default: Any = None
    since: str = "v0.7.0"
    level: str | None = None
    choices_since: Mapping[str, str] = MappingProxyType({})


def of(script: str) -> Mapping[str, Option]:
    """Return the options of `script`, one of `SCRIPTS`; empty for one that is not."""
    return _table(script) if script in SCRIPTS else {}


def dataset() -> Mapping[str, Option]:
    """Return the keys of the dataset file: those of a dataset and those of its subsets."""
    return _table("dataset")


def check(option: Option, value: Any) -> str | None:
    """Return "expected ..., found ..." when `value` is not what `option` takes, else None."""
    what, fits = _TYPES[option.type]
    if not fits(value):
        return f"expected {what}, found {_shown(value)}"
    if option.choices and value not in option.choices:
        return f"expected one of {', '.join(map(_shown, option.choices))}, found {_shown(value)}"
    return None


@functools.cache
def _table(name: str) -> Mapping[str, Option]:
    return {
        key: Option(key, **{**entry, "choices": tuple(entry.get("choices", ()))})
        for key, entry in _facts()[name].items()
    }


@functools.cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts


def _int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _all(value: Any, fits: Any) -> bool:
    return isinstance(value, list) and all(fits(item) for item in value)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
