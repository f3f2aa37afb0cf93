"""sd-scripts' own options, release by release: their names, types, choices and defaults.

`tools/make_options.py` reads them from the sources of every release, and of the commits between
two releases that Kohya GUI versions run. The file holds changes against an earlier release.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from kohya_presets.sdscripts import releases as ranges

FACTS = Path(__file__).parent / "facts" / "options.json"
_OWN = (
    *("sdxl_train.py", "sdxl_train_network.py"),
    *("networks/extract_lora_from_models.py", "networks/resize_lora.py"),
)
# Scripts that share most options with another one: the file has their differences from it.
KIN: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("train_network.py", "flux_train_network.py", "sd3_train_network.py"),
            *("lumina_train_network.py", "hunyuan_image_train_network.py"),
            "anima_train_network.py",
        ),
        "sdxl_train_network.py",
    ),
    **dict.fromkeys(
        (
            *("fine_tune.py", "train_db.py", "flux_train.py", "sd3_train.py", "lumina_train.py"),
            *("anima_train.py", "train_textual_inversion.py", "sdxl_train_textual_inversion.py"),
            *("train_control_net.py", "sdxl_train_control_net.py", "flux_train_control_net.py"),
            "sdxl_train_control_net_lllite.py",
        ),
        "sdxl_train.py",
    ),
}
SCRIPTS = (*_OWN, *KIN)
# argparse takes a list; train_network.py takes a number too ("toml backward compatibility"), and so
# does every network that has a rate for each text encoder.
_NUMBER_TOO = ("text_encoder_lr",)
# How messages name each type, and how it is recognized. A bool is not a number here.
TYPES: Mapping[str, tuple[str, Any]] = {
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "int": ("a whole number", lambda v: _int(v)),
    "float": ("a number", lambda v: _number(v)),
    "strict float": ("a number with a decimal point", lambda v: isinstance(v, float)),
    "str": ("a string", lambda v: isinstance(v, str)),
    "int or float": ("a number", lambda v: _number(v)),
    "strs": ("a list of strings", lambda v: _all(v, lambda x: isinstance(x, str))),
    "floats": ("a list of numbers", lambda v: _all(v, _number)),
    "float or floats": ("a number or a list of numbers", lambda v: _number(v) or _all(v, _number)),
    "ints": ("a list of whole numbers", lambda v: _all(v, _int)),
    "table": ("a table", lambda v: isinstance(v, dict)),
    "float pair": ("two numbers", lambda v: _all(v, _number) and len(v) == 2),
    "int or ints": ("one or more whole numbers", lambda v: _int(v) or _all(v, _int)),
    "int or int pair": (
        "one or two whole numbers, such as [1024, 1024]",
        lambda v: _int(v) or (_all(v, _int) and len(v) == 2),
    ),
}


class Option(NamedTuple):
    """One option; `since` is the first release that has it.

    `choices_since` has the first release of each choice, as text, that is younger than the option.
    Of a key of the dataset file: `level` is the part it is written to ("dataset" or "subset"),
    `levels` the parts it may be in, `subsets` the kinds of subset it is for ("images", "metadata",
    "conditioning"), `required` those that must have it.
    """

    name: str
    type: str
    choices: tuple[Any, ...] = ()
    default: Any = None
    since: str = "v0.7.0"
    level: str | None = None
    choices_since: Mapping[str, str] = MappingProxyType({})
    levels: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


def of(script: str, release: str | None = None) -> Mapping[str, Option]:
    """Return the options of `script`, one of `SCRIPTS`; empty for one that is not.

    `release` is a release's tag, or the name of a commit between two; None: the newest release.
    """
    return _table(script, release or _newest()) if script in SCRIPTS else {}


def newest(name: str) -> Option | None:
    """Return the option `name` of the first script that has it, as the newest release has it."""
    return next((of(script)[name] for script in SCRIPTS if name in of(script)), None)


def dataset(release: str | None = None) -> Mapping[str, Option]:
    """Return the keys of the dataset file: those of a dataset and those of its subsets."""
    return _table("dataset", release or _newest())


def in_dataset(key: str) -> bool:
    """Return whether `key` belongs to the dataset file of any release."""
    return any(key in known for known in _facts()["dataset"].values())


def releases_with(part: str, name: str) -> tuple[str, ...]:
    """Return the releases of which `part`, a script or "dataset", has the option, oldest first."""
    return tuple(tag for tag in _tags() if name in _table(part, tag))


def releases_having(script: str) -> tuple[str, ...]:
    """Return the releases that have a script, oldest first."""
    return tuple(tag for tag in _tags() if _table(script, tag))


def nearest_release(release: str) -> str:
    """Return the release nearest to a commit between two releases; for a release, itself."""
    return _facts()["after"][release] if release not in _tags() else release


@functools.cache
def is_in(release: str, spec: str) -> bool:
    """Return whether a release, or the one nearest to a commit, is in a range as ">=0.7.1,<0.11".

    Raises:
        ValueError: `spec` has another form.
    """
    return ranges.satisfies(nearest_release(release), spec)


def releases() -> tuple[str, ...]:
    """Return all releases, and commits between two releases, whose options are known."""
    return tuple(_facts()["after"])


def type_name(type_: str) -> str:
    """Return an option's type in words."""
    name, _ = TYPES[type_]
    return str(name)


def check(option: Option, value: Any) -> str | None:
    """Return "expected ..., found ..." when `value` is not what `option` takes, else None."""
    what, fits = TYPES[option.type]
    if not fits(value):
        return f"expected {what}, found {_shown(value)}"
    if option.choices and value not in option.choices:
        return f"expected one of {', '.join(map(_shown, option.choices))}, found {_shown(value)}"
    return None


@functools.cache
def _table(part: str, release: str) -> Mapping[str, Option]:
    """Return the options of one part of one release: those it follows, and its own changes."""
    before = _facts()["after"][release]
    table = dict(_table(part, before)) if before else {}
    for name, fact in _changes(part).get(release, {}).items():
        was = table.pop(name, None)
        if fact is not None:
            table[name] = _option(name, fact, was, release)
    return table


@functools.cache
def _changes(part: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the changes of each release against the one it follows; None: removed."""
    if part not in KIN:
        return _facts()[part]  # type: ignore[no-any-return]
    found = {}
    for release, before in _facts()["after"].items():
        now, was = _kin(part, release), _kin(part, before) if before else {}
        gone = {name: None for name in was if name not in now}
        found[release] = {n: fact for n, fact in now.items() if was.get(n) != fact} | gone
    return found


@functools.cache
def _kin(part: str, release: str) -> Mapping[str, Any]:
    """Return the facts of a script that is stored as its differences from another one."""
    changes, at = _facts()[part], release
    while at not in changes:
        at = _facts()["after"][at]
    return {} if changes[at] is None else _laid(_raw(KIN[part], release), changes[at])


@functools.cache
def _raw(part: str, release: str) -> Mapping[str, Any]:
    before = _facts()["after"][release]
    return _laid(_raw(part, before) if before else {}, _facts()[part].get(release, {}))


def _laid(facts: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: fact for name, fact in {**facts, **changes}.items() if fact is not None}


def _option(name: str, fact: Mapping[str, Any], was: Option | None, release: str) -> Option:
    choices = tuple(choice for choice in fact.get("choices", ()) if choice is not None)
    levels = tuple(fact.get("levels", ()))
    came = {str(c): release for c in choices if was and was.choices and c not in was.choices}
    return Option(
        name,
        "float or floats" if name in _NUMBER_TOO and fact.get("nargs") else _kind(fact),
        choices,
        fact.get("default"),
        was.since if was else release,
        level=next((level for level in ("subset", "dataset") if level in levels), None),
        choices_since={**was.choices_since, **came} if was else {},
        levels=levels,
        subsets=tuple(fact.get("subsets", ())),
        required=tuple(fact["required"]) if isinstance(fact.get("required"), list) else (),
    )


def _kind(fact: Mapping[str, Any]) -> str:
    """Return the type of the value in a TOML file, from the arguments of argparse."""
    if "action" in fact:
        return "bool"
    plain = {"int_or_float": "int or float", "Path": "str", "str2bool": "bool"}
    kind = plain.get(fact.get("type", "str"), fact.get("type", "str"))
    return f"{kind}s" if fact.get("nargs") in ("*", "+") else kind


def _newest() -> str:
    return _tags()[-1]


@functools.cache
def _tags() -> tuple[str, ...]:
    return tuple(release for release in releases() if release.startswith("v"))


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
