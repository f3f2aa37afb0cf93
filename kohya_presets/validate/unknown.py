"""Name the setting that was meant by one that does not exist."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from kohya_presets.problems import listed, misspelled
from kohya_presets.sdscripts import arguments, other_names
from kohya_presets.sdscripts.options import Option
from kohya_presets.toml import text as toml_text

# Words that turn an option into another one.
_TURNS = frozenset({"full", "no", "not", "skip", "disable", "v", "min", "max", "reg", "zero"})
# Before options in the fields of the Kohya GUI, and before switches.
_BEFORE = (
    *("sdxl_", "sd3_", "flux1_", "flux_", "lumina_", "hunyuan_image_", "hunyuan_"),
    *("use_", "enable_"),
)
_OF_BOTH_ENCODERS = ("learning_rate_te", "text_encoder_lr", "te_lr", "lr_te")
_BOTH_ENCODERS = ("learning_rate_te1", "learning_rate_te2")
_OUT = "_"  # before a key that somebody took out on purpose
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_SHORTEST = 3  # letters that stand for a longer word


class Meant(NamedTuple):
    """What to do, and whether the training would otherwise do without what the value asks for."""

    todo: str
    is_lost: bool = False


def meant(
    key: str, known: Mapping[str, Option], given: Mapping[str, Any] = _NOTHING
) -> Meant | None:
    """Return what to do, if it is sure which one of `known` is meant, or where it belongs.

    `given` are the settings that `key` is one of.
    """
    if key.startswith(_OUT):
        return None
    bare, value = _bare(key), given.get(key)
    plain = next((bare.removeprefix(word) for word in _BEFORE if bare.startswith(word)), bare)
    together = {name.replace("_", ""): name for name in known}
    if same := plain if plain in known else together.get(bare.replace("_", "")):
        return Meant(f"Did you mean {same!r}?", _is_lost(value, (same,), known, given))
    options = other_names.RENAMED.get(bare, ())
    if bare in _OF_BOTH_ENCODERS and (both := _BOTH_ENCODERS)[0] in known:
        return Meant(f"Use {listed(both)}.", _is_lost(value, both, known, given))
    if options and options[0] in known:
        if there := next((option for option in options if option in given), None):
            return Meant(f"Leave it out: {there} is set.")
        todo = f"Use {' or '.join(options)}{other_names.VALUES.get(bare, '')}."
        return Meant(todo, _is_lost(value, options, known, given))
    if "max_train_steps" not in known:  # an argument belongs to a training
        return None
    if said := other_names.ADVICE.get(bare):
        return Meant(said, bare in other_names.ASKING and bool(value))
    if place := _elsewhere(bare, value):
        return Meant(place)
    return _as_argument(bare, known, given)


def near(
    key: str, known: Mapping[str, Option], given: Mapping[str, Any] = _NOTHING
) -> Meant | None:
    """Return "did you mean ...?", if one of `known` is nearly what was written."""
    if key.startswith(_OUT):
        return None
    bare = _bare(key)
    close = (name for name in known if _may_be(bare, name) and _is_alike(bare, name))
    if name := misspelled(bare, close):
        is_lost = _is_lost(given.get(key), (name,), known, given)
        return Meant(f"Did you mean {name!r}?", is_lost)
    fuller = sorted((name for name in known if _is_short_for(bare, name)), key=len)
    return Meant(f"Did you mean {' or '.join(map(repr, fuller[:2]))}?") if fuller else None


def _is_lost(
    value: Any, options: Sequence[str], known: Mapping[str, Option], given: Mapping[str, Any]
) -> bool:
    """Return whether none of the options is set, and none does what `value` says by itself."""
    usual = known[options[0]].default
    return not any(option in given for option in options) and (
        bool(value) if usual in (None, False, "") else value != usual
    )


def _elsewhere(bare: str, value: Any) -> str | None:
    """Return where a setting belongs that is no option of sd-scripts at all."""
    if option := other_names.OF_LAUNCH.get(bare):
        if not value:
            return "Leave it out: it is an option of accelerate launch, not of sd-scripts."
        shown = "" if value is True else f"={_in_words(value)}"
        return f"Give it to accelerate, before the script: accelerate launch --{option}{shown}"
    if letter := other_names.OF_PROMPTS.get(bare):
        shown = _in_words(value)
        return f"Write it behind each prompt in the file for sample_prompts: --{letter} {shown}"
    return None


def _as_argument(bare: str, known: Collection[str], given: Mapping[str, Any]) -> Meant | None:
    """Return the list in which a setting belongs, with all that belong there."""
    place = _list_of(bare, known)
    if place is None:
        return None
    written = str(given.get(place) or "")
    if re.search(rf"(?<!\w){re.escape(_argument(bare))}=", written):
        return Meant(f"Leave it out: {place} has it.")
    read = _in_words if place == "network_args" else _in_python
    names = {key: _bare(key) for key in given if key not in known} or {bare: bare}
    there = {
        _argument(name): read(given.get(key))
        for key, name in names.items()
        if _list_of(name, known) == place
    }
    items = [f"{name}={value}" for name, value in there.items()]
    value = next((given[key] for key, name in names.items() if name == bare and key in given), None)
    # An optimizer's own default may be on; a network's is off.
    is_lost = bool(value) if place == "network_args" else value not in (None, "")
    if written:
        shown = listed(f'"{item}"' for item in items)
        return Meant(f"It belongs in {place}: add {shown} there.", is_lost)
    return Meant(f"It belongs in {place}: {place} = {toml_text.value_text(items)}.", is_lost)


def _list_of(bare: str, known: Collection[str]) -> str | None:
    if bare in other_names.RENAMED or bare in other_names.ADVICE:
        return None
    return next((name for name in arguments.lists_of(_argument(bare)) if name in known), None)


def _argument(bare: str) -> str:
    return other_names.ARGUMENTS.get(bare, bare if len(bare) >= _SHORTEST else "")


def _in_words(value: Any) -> str:
    """Return a value as it is written behind `name=`; "..." if it is not known or a long one."""
    if isinstance(value, list):
        return ",".join(map(_in_words, value))
    text = str(value)
    is_plain = isinstance(value, bool | int | float) or re.fullmatch(r"[\w.,:+-]{1,40}", text)
    return "..." if value is None or not is_plain else text


def _in_python(value: Any) -> str:
    """Return the same where sd-scripts reads it as Python: a text in quotes, if it is no number."""
    words = _in_words(value)
    is_text = isinstance(value, str) and not re.fullmatch(r"[\d.,e+-]+|True|False|\.\.\.", words)
    return f"'{words}'" if is_text else words


def _bare(key: str) -> str:
    return key.lower().replace("-", "_")


def _may_be(bare: str, name: str) -> bool:
    """Return whether two edits could make one of the other: quickly, to spare counting them."""
    return abs(len(bare) - len(name)) <= 2 and len(_letters(bare) ^ _letters(name)) <= 4


@functools.cache
def _letters(name: str) -> frozenset[str]:
    return frozenset(name)


def _is_alike(bare: str, name: str) -> bool:
    """Return whether no word became another one, such as `min` and `max`, or `lora` and `loss`."""
    words, others = bare.split("_"), name.split("_")
    if len(words) != len(others):
        return _turns(bare) == _turns(name)
    long = ((w, o) for w, o in zip(words, others, strict=True) if min(len(w), len(o)) > _SHORTEST)
    return _turns(bare) <= _turns(name) and all(w == o or misspelled(w, (o,)) for w, o in long)


def _is_short_for(bare: str, name: str) -> bool:
    """Return whether `name` has all words of two or more, whole or begun, and at most one more."""
    if not 0 < bare.count("_") >= name.count("_") - 1 or not _turns(name) <= _turns(bare):
        return False
    words, others = bare.split("_"), name.split("_")
    for word in words:
        found = next((other for other in others if _is_begun(word, other)), None)
        if found is None:
            return False
        others.remove(found)
    return True


def _is_begun(word: str, other: str) -> bool:
    short, long = sorted((word, other), key=len)
    return short == long or (len(short) >= _SHORTEST and long.startswith(short))


@functools.cache
def _turns(name: str) -> frozenset[str]:
    return _TURNS.intersection(name.split("_"))
