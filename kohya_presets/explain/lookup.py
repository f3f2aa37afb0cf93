"""What an option does and what the guide says about it, or why a preset has its values.

What the texts do not say comes from the facts about sd-scripts, our patches and the shipped
presets.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.errors import UserError
from kohya_presets.explain import written
from kohya_presets.explain.written import TABLES, Key, Text
from kohya_presets.presets import preset as preset_files
from kohya_presets.presets.catalogue import SHIPPED, Catalogue
from kohya_presets.presets.preset import OWN, SETTINGS, Preset, Table, Value
from kohya_presets.problems import did_you_mean
from kohya_presets.sdscripts import options, scripts
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.sdscripts.options import Option
from kohya_presets.validate import rules


@dataclass(frozen=True)
class Entry:
    """One option of one table.

    `text` is None where only facts are known; `option` is None for a field of the GUI. `scripts`
    are those that have it, `patch` is the one that adds it, `default` is the value if it is not
    given, and `values` has what each shipped preset sets: None where it sets nothing.
    """

    key: Key
    text: Text | None
    option: Option | None = None
    default: Any = None
    scripts: tuple[str, ...] = ()
    patch: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """Every option that a name may mean; `namesake` is the file of a preset of that name."""

    entries: tuple[Entry, ...]
    conflicts: tuple[str, ...] = ()
    namesake: Path | None = None


class Reason(NamedTuple):
    """One setting of a preset, and the reason for it: None where its author gives none."""

    key: Key
    value: Value
    why: str | None


@dataclass(frozen=True)
class PresetExplanation:
    """A preset's [preset] table, and the reason of each of its settings."""

    header: Table
    reasons: tuple[Reason, ...]


def named(name: str, presets: Catalogue, additions: Additions) -> Explanation | PresetExplanation:
    """Return what explains the option or the preset called `name`; options come first.

    Raises:
        UserError: there is neither; the hint has the nearest names of both.
        PresetError: it is a preset, and has errors.
    """
    namesake = presets.names().get(name)
    if find(name, additions):
        return option(name, additions, namesake=namesake)
    if namesake or name.endswith(".toml") or len(Path(name).parts) > 1:
        return preset(presets.load(name))
    raise UserError(
        f"there is no option or preset {name!r}", hint=_hint(name, additions, presets.names())
    )


def option(name: str, additions: Additions, *, namesake: Path | None = None) -> Explanation:
    """Return what explains the option called `name`, in every table that has it.

    Raises:
        UserError: there is none; the hint has the nearest names.
    """
    keys = find(name, additions)
    if not keys:
        raise UserError(f"there is no option {name!r}", hint=_hint(name, additions))
    entries = tuple(_entry(key, additions) for key in keys)
    return Explanation(entries, tuple(_conflicts(keys)), namesake)


def preset(made: Preset) -> PresetExplanation:
    """Return the reason for each value of `made`, in the order of its tables."""
    keys = [Key(table, name) for table, values in made.tables.items() for name in values]
    reasons = (
        Reason(key, made.tables[key.table][key.name], made.provenance.get(str(key))) for key in keys
    )
    return PresetExplanation(preset_files.header(made), tuple(reasons))


def find(name: str, additions: Additions) -> tuple[Key, ...]:
    """Return the options that `name` may mean, the one to read first in front.

    It may be an option's name, `--with-dashes` or after its table (`extract.dim`), or its
    name in the Kohya GUI, in any case.
    """
    tables, wanted = _split(name)
    every = [Key(table, option) for table in tables for option in _names(additions)[table]]
    found = [key for key in every if key.name == wanted]
    found = found or [key for key in every if _letters(wanted) in map(_letters, _called(key))]
    found += [text.see for text in map(_text, found) if text and text.see]
    return tuple(sorted(dict.fromkeys(found), key=_is_aside))


def _conflicts(keys: Sequence[Key]) -> Iterator[str]:
    for rule in dict.fromkeys(rule for key in keys for rule in rules.conflicts(key.name)):
        held = "" if rule.releases == ">=0.7.0" else f", releases {rule.releases}"
        yield f"{rule.says} [{rule.code}{held}]"


def _split(name: str) -> tuple[tuple[str, ...], str]:
    """Return the tables to look in, and the option's name as sd-scripts writes it."""
    bare = name.strip().lstrip("-")
    table, dot, rest = bare.partition(".")
    tables, bare = ((table,), rest) if dot and table in TABLES else (TABLES, bare)
    return tables, bare.replace("-", "_")


@functools.cache
def _names(additions: Additions) -> Mapping[str, tuple[str, ...]]:
    """Return the names of each table's options."""
    fields = tuple(key.name for key in written.every() if key.table == "gui")
    return {**{table: tuple(_known(table, additions)) for table in SETTINGS}, "gui": fields}


@functools.cache
def _known(table: str, additions: Additions) -> Mapping[str, Option]:
    """Return the options of a table, those that patches add among them."""
    if table == "dataset":
        return options.dataset()
    if table in OWN:
        return OWN[table]
    # Where several scripts have an option, the first of them is described; sd-scripts' own one
    # before a patch's, which brings it to other releases.
    parts = [options.of(script) for script in reversed(_scripts(table))]
    if table == "train":
        added = [additions.options(script, additions.names) for script in _scripts(table)]
        parts = added + parts
    return {name: option for part in parts for name, option in part.items()}


def _scripts(table: str) -> tuple[str, ...]:
    return tuple(scripts.TRAINERS) if table == "train" else (scripts.TOOLS[table],)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _called(key: Key) -> Iterator[str]:
    yield key.name
    if text := _text(key):
        yield from text.gui


def _text(key: Key) -> Text | None:
    if found := written.every().get(key):
        return found
    if key.table == "train" and key.name in options.dataset():
        what = f"Applies to every dataset that does not set {key.name} itself."
        return Text(what, see=Key("dataset", key.name))
    return None


def _is_aside(key: Key) -> bool:
    text = _text(key)
    return text is None or text.see is not None


def _entry(key: Key, additions: Additions) -> Entry:
    if key.table == "gui":
        return Entry(key, _text(key))
    able = () if key.table == "dataset" else _scripts(key.table)
    patches = (additions.patch_with(s, key.name) for s in able if key.table == "train")
    return Entry(
        key,
        _text(key),
        _known(key.table, additions)[key.name],
        _default(key, additions),
        tuple(script for script in able if key.name in options.of(script)),
        next(filter(None, patches), None),
        {name: made.tables.get(key.table, {}).get(key.name) for name, made in _shipped().items()},
    )


def _default(key: Key, additions: Additions) -> Any:
    known = _known(key.table, additions)[key.name]
    if known.default is None and key.table == "dataset":
        # If the dataset file does not say it, a training option does.
        names = (other.name for other, text in written.every().items() if text.see == key)
        stand_in = _known("train", additions).get(next(names, key.name), known)
        known = known._replace(default=stand_in.default)
    return False if known.default is None and known.type == "bool" else known.default


@functools.cache
def _shipped() -> Mapping[str, Preset]:
    catalogue = Catalogue((SHIPPED,))
    return {name: catalogue.load(name) for name in catalogue.names()}


def _hint(name: str, additions: Additions, presets: Mapping[str, Path] | None = None) -> str:
    tables, wanted = _split(name)
    wanted = re.sub(r"\W+", "_", wanted.lower())
    if elsewhere := [
        str(Key(table, wanted)) for table in TABLES if wanted in _names(additions)[table]
    ]:
        return f"Did you mean {' or '.join(elsewhere)}?"
    near = {option for table in tables for option in _names(additions)[table]} | set(presets or ())
    return did_you_mean(wanted, near) or "List a preset's options with `kohya-presets show PRESET`."
