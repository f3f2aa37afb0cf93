"""Values between the GUI's fields and sd-scripts' options: strings, numbers, lists."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

from kohya_presets.gui.versions import tables
from kohya_presets.gui.versions.fields import Field
from kohya_presets.sdscripts.options import Option

_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "": False}


def normal(field: Field, value: Any) -> Any:
    """Return what a saved value means to its widget; None where it cannot be read.

    The GUI takes the string "false" for true, and other versions saved numbers as strings.
    """
    if isinstance(value, dict | list):
        return None
    if field.kind == "bool":
        return _WORDS.get(value.strip().lower()) if isinstance(value, str) else bool(value)
    if field.name == "xformers" and not isinstance(value, str):
        return "xformers" if value else "none"  # a check box, once
    if field.kind == "number":
        return number(value)
    if field.kind == "text":
        return value if isinstance(value, str) else plain(value)
    return _choice(field, value)


def number(value: Any) -> int | float | None:
    """Return a value, or the text of one, as a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(found) or abs(found) > 1e15:
        return None
    return int(found) if found.is_integer() and not isinstance(value, float) else found


def typed(option: Option, value: Any) -> Any:
    """Return a value as the option takes it; None where it is not of its type."""
    match option.type:
        case "bool":
            return bool(value)
        case "int":
            found = number(value)
            return int(found) if found is not None and float(found).is_integer() else None
        case "float" | "strict float":
            one = value[0] if isinstance(value, list) and len(value) == 1 else value
            found = number(one)
            return None if found is None else float(found)
        case "int or float":
            found = number(value)
            return int(found) if found is not None and float(found).is_integer() else found
        case "str":
            return value if isinstance(value, str) else plain(value)
        case "strs":
            return words(value)
        case "float or floats":
            every = [number(item) for item in (value if isinstance(value, list) else [value])]
            found_ = [float(item) for item in every if item is not None]
            if len(found_) < len(every):
                return None
            return found_[0] if len(found_) == 1 else found_
        case "int or int pair":
            return _pair(value)
    return None


def words(text: Any) -> list[str]:
    """Return the words of a field of arguments, without quotes."""
    if isinstance(text, list):
        return [str(item) for item in text]
    try:
        return shlex.split(str(text))
    except ValueError:
        return str(text).replace('"', "").split()


def to_field(field: Field, value: Any) -> Any:
    """Return an option's value as the field's widget takes it."""
    if isinstance(value, list | tuple):
        comma = "," if all(isinstance(item, int | float) for item in value) else " "
        value = comma.join(map(plain, value))
    if field.kind == "text":
        return value if isinstance(value, str) else plain(value)
    if field.kind == "number":
        found = number(value)
        return value if found is None else found
    return value if field.kind == "bool" else _choice(field, value)


def plain(value: Any) -> str:
    """Return a value as text, a whole number without a decimal point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def same(option: str, one: Any, other: Any) -> bool:
    """Return whether two values of an option have the same effect; None: not given."""
    return bool(_effect(option, one) == _effect(option, other))


def default(option: Option) -> Any:
    """Return the value of an option that is not given."""
    return False if option.type == "bool" and option.default is None else option.default


def effective(given: Mapping[str, Any], known: Mapping[str, Option], name: str) -> Any:
    """Return the value of an option in effect."""
    if name in given:
        return given[name]
    if name in tables.RATES:
        return given.get("learning_rate")
    return default(known[name]) if name in known else None


def _effect(option: str, value: Any) -> Any:
    if value is None or (value is False or value == tables.SAME_AS_ABSENT.get(option)):
        return None
    if value == 0 and option in tables.ZERO_IS_OFF:
        return None
    if option == "resolution":
        return _pair(value)
    if option == "text_encoder_lr":
        every = value if isinstance(value, list) else [value]
        return every[:1] if len(set(every)) == 1 else every
    if option in ("learning_rate", *tables.RATES):
        return float(value)
    return value if not isinstance(value, list) or value else None


def _pair(value: Any) -> list[int] | None:
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    sides = [number(str(part).strip()) for part in parts]
    if len(sides) not in (1, 2) or any(s is None or not float(s).is_integer() for s in sides):
        return None
    whole = [int(side) for side in sides if side is not None]
    return whole * 2 if len(whole) == 1 else whole


def _choice(field: Field, value: Any) -> Any:
    found = next((c for c in field.choices if str(c) == plain(value)), None)
    return value if found is None else found
