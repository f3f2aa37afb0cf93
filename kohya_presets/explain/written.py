"""The texts about options: what they do, and what the guide says about them.

The texts are in texts/, one file for each table of a preset, in our own words.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.presets.preset import SETTINGS
from kohya_presets.toml import source as toml_source

FOLDER = Path(__file__).parent / "texts"
TABLES = (*SETTINGS, "gui")  # gui: fields of the Kohya GUI that are no option of sd-scripts


class Key(NamedTuple):
    """One option of one table."""

    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


class Advice(NamedTuple):
    """What the guide found, and when it said so; "2023-11" is its body."""

    date: str
    text: str


@dataclass(frozen=True)
class Text:
    """What is written about one option.

    `guide` has the newest advice first, `gui` what the Kohya GUI and the guide call the option;
    `see` is the option that this one stands in for, where more is written.
    """

    what: str
    guide: tuple[Advice, ...] = ()
    gui: tuple[str, ...] = ()
    see: Key | None = None


@functools.cache
def every() -> Mapping[Key, Text]:
    """Return all texts."""
    return {
        Key(table, name): _text(entry)
        for table in TABLES
        for name, entry in toml_source.read(FOLDER / f"{table}.toml").values.items()
    }


def _text(entry: Mapping[str, Any]) -> Text:
    guide = [Advice(date, _line(text)) for date, text in entry.get("guide", {}).items()]
    table, dot, name = entry.get("see", "").partition(".")
    return Text(
        _line(entry["what"]),
        tuple(sorted(guide, reverse=True)),  # "2023-11" sorts before the days of that month
        tuple(entry.get("gui", ())),
        Key(table, name) if dot else None,
    )


def _line(text: str) -> str:
    return " ".join(text.split())
