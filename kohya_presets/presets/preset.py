"""A preset: named settings for one training script, and where each of them comes from.

A file on disk is a `Sheet`: what its author wrote, line by line, perhaps only the differences to
another preset. Sheets laid over each other (`inherit`) make a `Preset`, which is complete.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kohya_presets import secrets
from kohya_presets.problems import Place, Problem, did_you_mean
from kohya_presets.sdscripts import releases
from kohya_presets.sdscripts.options import Option
from kohya_presets.toml import text as toml_text
from kohya_presets.toml.source import Source

SCHEMA = 1
UNSET = "unset"  # as a value: take the parent's key, or its whole table, out
SETTINGS = ("train", "dataset", "extract", "resize", "run", "samples")
OPTIONAL = ("extract", "resize", "run", "samples")  # a preset may do without: no such stage
# What the two last may have: they are ours, and no script of sd-scripts reads them.
KEEP = ("all", "loras")
OWN: Mapping[str, Mapping[str, Option]] = {
    "run": {"keep": Option("keep", "str", KEEP, "all"), "gpus": Option("gpus", "int", (), 1)},
    "samples": {"prompts": Option("prompts", "strs")},
}
TABLES = ("preset", *SETTINGS, "provenance")
# Paths that every run fills in; a preset with them would work on one machine only.
PATHS = frozenset(
    {
        "pretrained_model_name_or_path",
        "train_data_dir",
        "in_json",
        "dataset_config",
        "config_file",
        "output_dir",
        "output_name",
        "image_dir",
        "metadata_file",
        "model_org",
        "model_tuned",
        "save_to",
        "model",
    }
)

Value = Any  # str, int, float, bool or a list of them: where TOML enters
Table = Mapping[str, Value]

_HEADER: Mapping[str, tuple[tuple[type, ...], str]] = {
    "name": ((str,), "a string"),
    "title": ((str,), "a string"),
    "summary": ((str,), "a string"),
    "date": ((datetime.date,), "a date such as 2023-12-05"),
    "vram_gib": ((int, float), "a number of GiB"),
    "script": ((str,), 'a script\'s name such as "sdxl_train.py"'),
    "releases": ((str,), 'a string such as ">=0.7.1"'),
    "patches": ((list,), 'a list of names such as ["ema"]'),
    "silence": ((list,), 'a list of rules\' codes such as ["min-snr-gamma"]'),
    "extends": ((str,), "a preset's name"),
}
_REQUIRED = ("name", "title", "summary", "script", "releases")
_OWN = ("name", "title", "summary", "extends")  # never inherited: they describe one file


@dataclass(frozen=True)
class Sheet:
    """The tables of one file, or of `--set`, each key with its line."""

    source: Source
    tables: Mapping[str, Table | str] = field(default_factory=dict)  # str: the word "unset"

    @property
    def header(self) -> Table:
        """The [preset] table."""
        table = self.tables.get("preset", {})
        return table if isinstance(table, Mapping) else {}


@dataclass(frozen=True)
class Preset:
    """Everything a run needs except local paths."""

    name: str
    title: str
    summary: str
    script: str
    releases: str
    date: datetime.date | None = None
    vram_gib: float | None = None
    patches: tuple[str, ...] = ()
    train: Table = field(default_factory=dict)
    dataset: Table = field(default_factory=dict)
    extract: Table | None = None
    resize: Table | None = None
    run: Table | None = None
    samples: Table | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    silence: tuple[str, ...] = ()  # codes of rules that are not asked about this preset
    file: Path | None = None
    extends: tuple[str, ...] = ()  # parents, nearest first
    sources: tuple[Source, ...] = field(default=(), compare=False, repr=False)  # nearest first

    @property
    def tables(self) -> Mapping[str, Table]:
        """The settings by table, without the tables this preset does not have."""
        every = {name: getattr(self, name) for name in SETTINGS}
        return {name: table for name, table in every.items() if table is not None}

    @property
    def keep(self) -> str:
        """What stays of the models saved on the way: "all" of them, or their "loras"."""
        return str((self.run or {}).get("keep", KEEP[0]))

    @property
    def gpus(self) -> int:
        """How many GPUs train together, for which its lengths in steps are written."""
        return int((self.run or {}).get("gpus", 1))

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts of the pictures that training makes on its way."""
        return tuple((self.samples or {}).get("prompts", ()))

    def place(self, table: str, key: str) -> Place:
        """Return where a setting was written: here, in a parent or on the command line."""
        return place(self.sources, self.file, table, key)


def place(sources: Sequence[Source], file: Path | None, table: str, key: str) -> Place:
    """Return where a setting was written: in the first of `sources` that has it, else in `file`."""
    for source in sources:
        values = source.values.get(table)
        if isinstance(values, Mapping) and key in values:
            return source.place(table, key)
    return Place(file, key=f"{table}.{key}" if key else table)


def header(preset: Preset) -> dict[str, Value]:
    """Return the [preset] table of `preset`, for files and for JSON."""
    values = {
        "name": preset.name,
        "title": preset.title,
        "summary": preset.summary,
        "date": preset.date,
        "vram_gib": preset.vram_gib,
        "script": preset.script,
        "releases": preset.releases,
        "patches": list(preset.patches),
        "silence": list(preset.silence) or None,
    }
    return {key: value for key, value in values.items() if value is not None}


def to_toml(preset: Preset, *, provenance: bool = True) -> str:
    """Return the resolved preset as a file that extends nothing; same preset, same bytes."""
    tables = {"preset": header(preset), **preset.tables}
    if provenance:
        tables["provenance"] = preset.provenance
    return toml_text.document(tables, top={"schema": SCHEMA})


def sheet(source: Source) -> tuple[Sheet, tuple[Problem, ...]]:
    """Return `source` as the sheet of a preset, and every problem of its form."""
    problems = list(source.problems)
    if not source.values:
        return Sheet(source), tuple(problems)
    problems += _schema_problems(source)
    tables: dict[str, Table | str] = {}
    for name, table in source.values.items():
        if name == "schema":
            continue
        if problem := _table_problem(source, name, table):
            problems.append(problem)
        else:
            tables[name] = table
    made = Sheet(source, tables)
    problems += _header_problems(made)
    problems += _provenance_problems(made)
    problems += secret_problems(made, "the preset")
    return made, tuple(problems)


def secret_problems(sheet: Sheet, found_in: str) -> Iterator[Problem]:
    """Yield a problem for each setting that is a secret; it must get into no other file."""
    for name, table in sheet.tables.items():
        for key in secrets.settings(table) if isinstance(table, Mapping) else ():
            instead = secrets.OPTIONS.get(key)
            expected, hint = "no secret", "Delete it."
            if instead:
                expected = f"the environment variable {instead.variable}"
                hint = f"Delete it, and run `{instead.login}` or set {instead.variable}."
            message = f"expected {expected}, found a token in {found_in}"
            yield Problem("secret", "error", sheet.source.place(name, key), message, hint)


def missing(header: Table, source: Source) -> tuple[Problem, ...]:
    """Return one problem for each required key that is missing in a complete preset."""
    return tuple(
        Problem(
            "missing-key",
            "error",
            source.place("preset"),
            f"[preset] has no {key}",
            f"Add {key} = ... to [preset].",
        )
        for key in _REQUIRED
        if key not in header
    )


def is_complete(header: Table) -> bool:
    """Return whether a [preset] table has all required keys, and each key the right type."""
    is_full = all(key in header for key in _REQUIRED)
    return is_full and all(_fits(key, value) for key, value in header.items() if key in _HEADER)


def inherited(header: Table) -> Table:
    """Return the part of a parent's [preset] table that its children take over."""
    return {key: value for key, value in header.items() if key not in _OWN}


def _schema_problems(source: Source) -> Iterator[Problem]:
    found = source.values.get("schema")
    if found == SCHEMA and type(found) is int:  # neither true nor 1.0
        return
    newer = isinstance(found, int) and found > SCHEMA
    message = f"expected schema = {SCHEMA}, found {'none' if found is None else repr(found)}"
    hint = (
        "This preset needs a newer kohya-presets. Upgrade kohya-presets."
        if newer
        else f"Write schema = {SCHEMA} on the first line."
    )
    yield Problem("schema", "error", source.place("schema"), message, hint)


def _table_problem(source: Source, name: str, table: Any) -> Problem | None:
    if name not in TABLES:
        kind = "table" if isinstance(table, dict) else "key"
        hint = did_you_mean(name, TABLES) or f"A preset can have these tables: {', '.join(TABLES)}."
        if name in _HEADER:
            hint = f"Move {name} to [preset]."
        where = source.place(name)
        return Problem("unknown-table", "error", where, f"unknown {kind} {name!r}", hint)
    if isinstance(table, dict) or (table == UNSET and name in OPTIONAL):
        return None
    where = source.place(name)
    message = f"expected a table [{name}], found {table!r}"
    return Problem("wrong-type", "error", where, message, f"Write [{name}] on a line of its own.")


def _header_problems(sheet: Sheet) -> Iterator[Problem]:
    for key, value in sheet.header.items():
        if key not in _HEADER:
            where = sheet.source.place("preset", key)
            hint = did_you_mean(key, _HEADER) or f"Known keys: {', '.join(_HEADER)}."
            yield Problem("unknown-key", "error", where, f"unknown key {key!r} in [preset]", hint)
        elif not _fits(key, value):
            where = sheet.source.place("preset", key)
            yield Problem(
                "wrong-type", "error", where, f"expected {_HEADER[key][1]}, found {value!r}"
            )


def _fits(key: str, value: Value) -> bool:
    types, _ = _HEADER[key]
    if key in ("patches", "silence") and isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    if key == "date" and isinstance(value, datetime.datetime):
        return False
    if key == "releases" and isinstance(value, str):
        return releases.is_range(value)
    return isinstance(value, types) and not isinstance(value, bool)


def _provenance_problems(sheet: Sheet) -> Iterator[Problem]:
    table = sheet.tables.get("provenance", {})
    for key, value in table.items() if isinstance(table, Mapping) else ():
        if not isinstance(value, str):
            inner = list(value)[:1] if isinstance(value, dict) else []
            where = sheet.source.place("provenance", key, *inner)
            hint = (
                f'Quote the whole key: "{key}.…" = "guide: …"' if isinstance(value, dict) else None
            )
            message = f"expected a string, found {value!r}"
            yield Problem("wrong-type", "error", where, message, hint)
