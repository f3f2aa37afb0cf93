"""Lay sheets over each other: a preset over the one it extends, `--set` over both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets import secrets
from kohya_presets.errors import PresetError, UserError
from kohya_presets.presets import preset
from kohya_presets.presets.preset import OPTIONAL, SETTINGS, UNSET, Preset, Sheet, Table
from kohya_presets.problems import Place, Problem, errors
from kohya_presets.toml import source as toml_source
from kohya_presets.toml.source import Source

# Faults that may hide a key of [preset]; to call that key missing too would not help.
_HIDING = frozenset(
    {"toml-syntax", "not-utf8", "unknown-table", "unknown-key", "unknown-preset", "extends-cycle"}
)

Find = Callable[[str, Path | None], Path]  # a preset's name, and the file that asks, to its file


@dataclass(frozen=True)
class Laid:
    """The sheets of a preset laid over each other, and the problems of their form.

    `preset` is None where [preset] is not complete; `is_whole` is not set where part of [preset]
    could not be read, or a parent is missing. The settings themselves are not checked here.
    """

    preset: Preset | None
    tables: Mapping[str, Table]
    sources: tuple[Source, ...]  # nearest first
    problems: tuple[Problem, ...]
    is_whole: bool

    @property
    def is_jumbled(self) -> bool:
        """Whether a table is defined twice; the second's keys were then read into another table."""
        twice = [p.where.key for p in self.problems if p.code == "duplicate-key"]
        return not set(twice).isdisjoint(preset.TABLES)


def load(file: Path, *, find: Find, overrides: Sequence[str] = ()) -> Preset:
    """Return the preset in `file`, complete: its parents under it, `overrides` over it.

    An override reads "table.key=value". The settings are only read: `validate` checks them.

    Raises:
        PresetError: a sheet does not have the form of a preset; names every fault of every sheet.
        UserError: the file cannot be read.
    """
    laid = inspect(file, find=find, overrides=overrides)
    if laid.preset is None or errors(laid.problems):
        name = laid.preset.name if laid.preset else file.stem
        raise PresetError(f"preset {name!r}", laid.problems)
    return laid.preset


def inspect(file: Path, *, find: Find, overrides: Sequence[str] = ()) -> Laid:
    """Return what `load` reads, with every problem of its form.

    Raises:
        UserError: the file cannot be read.
    """
    chain, problems = _chain(file, find)
    over = _overrides(overrides, problems)
    merged = lay([*reversed(chain), *over])
    whole = not any(problem.code in _HIDING for problem in problems)
    if whole:
        problems += preset.missing(merged["preset"], chain[0].source)
    sources = tuple(sheet.source for sheet in (*reversed(over), *chain))
    complete = None
    if preset.is_complete(merged["preset"]):
        complete = _preset(merged, file, tuple(map(_name, chain[1:])), sources)
    return Laid(complete, merged, sources, tuple(problems), whole)


def head(file: Path, *, find: Find) -> Table:
    """Return the [preset] table of the preset in `file`, its settings unchecked: for lists.

    Raises:
        PresetError: the file or a parent does not have the form of a preset.
    """
    chain, problems = _chain(file, find)
    table = lay(tuple(reversed(chain)))["preset"]
    problems += [] if problems else preset.missing(table, chain[0].source)
    if errors(problems):
        raise PresetError(f"preset {file.stem!r}", problems)
    return table


def lay(sheets: Sequence[Sheet]) -> dict[str, dict[str, Any]]:
    """Return the tables of `sheets`, later ones over earlier ones, key by key.

    "unset" removes a key; as the value of a table's name it removes the table.
    """
    merged: dict[str, dict[str, Any]] = {"preset": {}, "train": {}, "dataset": {}, "provenance": {}}
    for sheet in sheets:
        if sheet.header:  # a file, and not --set
            merged["preset"] = {**preset.inherited(merged["preset"]), **sheet.header}
        for name in SETTINGS:
            table = sheet.tables.get(name)
            if table == UNSET:
                merged.pop(name, None)
                _forget(merged["provenance"], f"{name}.")
            elif isinstance(table, Mapping):
                _lay_table(merged, name, table)
        if isinstance(reasons := sheet.tables.get("provenance"), Mapping):
            merged["provenance"].update(reasons)
    return merged


def _lay_table(merged: dict[str, dict[str, Any]], name: str, table: Table) -> None:
    values = merged.setdefault(name, {})
    for key, value in table.items():
        # The parent's reason does not explain the child's value.
        _forget(merged["provenance"], f"{name}.{key}")
        values[key] = value
        if value == UNSET:
            del values[key]


def _forget(provenance: dict[str, Any], start: str) -> None:
    for key in [k for k in provenance if k == start or (start[-1] == "." and k.startswith(start))]:
        del provenance[key]


def _chain(file: Path, find: Find) -> tuple[list[Sheet], list[Problem]]:
    """Return the sheet of `file` and those of its parents, nearest first."""
    chain: list[Sheet] = []
    problems: list[Problem] = []
    seen: list[Path] = []
    next_file: Path | None = file
    while next_file is not None:
        seen.append(next_file.resolve())
        sheet, faults = preset.sheet(_read(next_file))
        chain.append(sheet)
        problems += faults
        parent = sheet.header.get("extends")
        if not isinstance(parent, str):
            break
        try:
            next_file = find(parent, next_file)
        except UserError as error:
            where = sheet.source.place("preset", "extends")
            problems.append(Problem("unknown-preset", "error", where, str(error), error.hint))
            break
        if next_file.resolve() in seen:
            problems.append(_cycle(sheet, [*seen, next_file.resolve()]))
            break
    return chain, problems


def _read(file: Path) -> Source:
    try:
        return toml_source.read(file)
    except OSError as error:
        raise UserError(f"cannot read the preset {file}: {error.strerror}") from error


def _name(sheet: Sheet) -> str:
    """Return a preset's name; a preset that others only extend may have just its file's name."""
    file = sheet.source.file
    return str(sheet.header.get("name", file.stem if file else ""))


def _cycle(sheet: Sheet, files: Sequence[Path]) -> Problem:
    circle = " → ".join(file.stem for file in files[files.index(files[-1]) :])
    message = f"circular `extends`: {circle}"
    where = sheet.source.place("preset", "extends")
    return Problem("extends-cycle", "error", where, message, "Remove one `extends`.")


def _overrides(texts: Sequence[str], problems: list[Problem]) -> list[Sheet]:
    """Return one sheet for each override, so that they are laid in the order they were given."""
    sheets = []
    for text in texts:
        try:
            tables = _override(text)
        except ValueError:
            problems.append(_bad_override(text))
        else:
            made = Sheet(Source(None, {"schema": preset.SCHEMA, **tables}), tables)
            problems += preset.secret_problems(made, "--set")
            sheets.append(made)
    return sheets


def _override(text: str) -> dict[str, Any]:
    name, equals, written = text.partition("=")
    table, _, key = name.strip().partition(".")
    if not equals or table not in SETTINGS:
        raise ValueError(text)
    value = _toml_value(written)
    if not key:
        if value != UNSET or table not in OPTIONAL:
            raise ValueError(text)
        return {table: UNSET}
    reason = {} if value == UNSET else {f"{table}.{key}": "set on the command line"}
    return {table: {key: value}, "provenance": reason}


def _toml_value(text: str) -> Any:
    try:
        return toml_source.value(text)
    except ValueError:
        # A bare word needs no quotes: the shell would remove them.
        if not (word := text.strip()) or word[0] in "\"'[{":
            raise
        return word


def _bad_override(text: str) -> Problem:
    shown = secrets.masked_after(text)
    message = f"expected --set TABLE.KEY=VALUE, found {shown!r}"
    hint = f"TABLE is one of {', '.join(SETTINGS)}. Example: --set train.learning_rate=2e-6"
    return Problem("bad-override", "error", Place(key="--set"), message, hint)


def _preset(
    tables: Mapping[str, Table], file: Path, parents: tuple[str, ...], sources: tuple[Source, ...]
) -> Preset:
    head = tables["preset"]
    return Preset(
        name=head["name"],
        title=head["title"],
        summary=head["summary"],
        script=head["script"],
        releases=head["releases"],
        date=head.get("date"),
        vram_gib=head.get("vram_gib"),
        patches=tuple(head.get("patches", ())),
        train=tables["train"],
        dataset=tables["dataset"],
        extract=tables.get("extract"),
        resize=tables.get("resize"),
        run=tables.get("run"),
        samples=tables.get("samples"),
        provenance=tables["provenance"],
        silence=tuple(head.get("silence", ())),
        file=file,
        extends=parents,
        sources=sources,
    )
