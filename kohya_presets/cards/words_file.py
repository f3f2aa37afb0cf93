"""The text of `card.toml`: made with its gaps, and completed without a change to what is there."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from kohya_presets.cards import words
from kohya_presets.cards.facts import Facts
from kohya_presets.cards.words import PERMISSIONS, RECOMMENDED, Version
from kohya_presets.problems import plural
from kohya_presets.toml import source

FIRST = "First version."
_HEAD = """\
# What only you know about this model. `kohya-presets card` reads this file and writes the model
# page from it. It never changes what you write here; it may add a key, or a version at the end.
#
# Text is shown as you write it, without Markdown or HTML. An empty line begins a new paragraph,
# lines that begin with "- " make a list. For several lines, use three quotes: \"""..."\"".
# A value that is empty is a gap: the page then says TO FILL IN. Write "-" to leave something out.

"""
_COMMENTS: Mapping[str, str] = {
    "format": "",
    "title": "The name of the model, as the page's heading.",
    "description": "One or two sentences. They come first: Discord and other sites show them beside"
    "\na link to the page.",
    "trigger": 'The trigger words, several as a list: ["korra", "korra style"]. "-" if there are'
    " none.",
    "notes": "What a user should know: what it is biased to, what it cannot do. Not needed.",
    "author": "Your name, as you want to be called. Not needed.",
    "license": 'The license, as Hugging Face calls it, e.g. "openrail++" or "cc-by-nc-4.0". Another'
    "\none has a name, and a link to its text. Not needed.",
    "license_name": "",
    "license_link": "",
    "base_model": "The base model on Hugging Face: OWNER/NAME. Hugging Face shows the LoRA there.",
    "tags": 'Tags, e.g. ["character", "anime"]. Not needed.',
    "links": 'Links, e.g. ["https://civitai.com/user/me"]. Not needed.',
}
_LISTS = ("tags", "links")
_TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "recommended": (
        "The settings that you find best. Fill in those that matter.",
        (*RECOMMENDED,),
    ),
    "permissions": (
        "What others may do: true or false, without quotes. The page says each in a sentence.",
        (*PERMISSIONS, "other"),
    ),
}
_VERSIONS = """
# One for each LoRA that had a page; the newest is the last. Write what is new in `changes`, and
# delete old ones that nobody needs.
"""


def new(known: Mapping[str, str]) -> str:
    """Return a `card.toml` with its gaps; `known` are values that are known already, by key."""
    parts = [_HEAD]
    parts += [_top(key, known) for key in _COMMENTS]
    parts += [_table(name) for name in _TABLES]
    return "".join(parts) + _VERSIONS


def completed(text: str) -> str:
    """Return the text with the keys that it lacks, each as a gap; what is there stays.

    `text` must be TOML.
    """
    document = tomlkit.parse(text)
    before = document.unwrap()
    top = "".join(_top(key, {}) for key in _COMMENTS if key not in document)
    tables = {n: t for n in _TABLES if isinstance(t := document.get(n), Table)}
    lacks = {name: [k for k in _TABLES[name][1] if k not in t] for name, t in tables.items()}
    for name, keys in lacks.items():
        for key in keys:
            tables[name].append(key, tomlkit.item(""))
    made = tomlkit.dumps(document) if any(lacks.values()) else text
    made = _with_top(made, top) if top else made
    made = _after(made, "".join(_table(name) for name in _TABLES if name not in document))
    return made if _keeps(before, made) else text


def with_version(text: str, facts: Facts, today: datetime.date) -> str:
    """Return the text with a version for this LoRA at the end, if it has none.

    `text` must be TOML. The first version says that it is the first; of another, the author says
    what is new.
    """
    found = tomlkit.parse(text).get("versions")
    if found is not None and not isinstance(found, AoT):
        return text  # written otherwise: nothing can be added at the end
    there = found or tomlkit.aot()
    if any(str(entry.get("lora", "")) == facts.weights_sha256 for entry in there):
        return text
    entry = {
        "version": str(_next(there)),
        "date": today,
        "lora": facts.weights_sha256,
        "preset": facts.preset,
        "images": facts.images,
        "epochs": facts.epoch or facts.epochs,
        "rank": facts.rank,
        "changes": "" if there else FIRST,
    }
    kept = {key: value for key, value in entry.items() if value or key == "changes"}
    return _after(text, f"\n[[versions]]\n{tomlkit.dumps(kept)}")


def differences(before: Version, after: Version) -> list[str]:
    """Return what a run did otherwise than that of the version before, as far as both say it."""
    told = []
    if before.preset and after.preset and before.preset != after.preset:
        told.append(f"preset {after.preset} instead of {before.preset}")
    for key, noun in (("images", "image"), ("epochs", "epoch")):
        then, now = getattr(before, key), getattr(after, key)
        if then and now and then != now:
            told.append(f"{plural(now, noun)} instead of {then}")
    if before.rank and after.rank and before.rank != after.rank:
        told.append(f"rank {after.rank} instead of {before.rank}")
    return told


def _top(key: str, known: Mapping[str, str]) -> str:
    if key == "format":
        return f"format = {words.FORMAT}\n"
    comment = "".join(f"# {line}\n" for line in _COMMENTS[key].splitlines())
    value = "[]" if key in _LISTS and not known.get(key) else _text(known.get(key, ""))
    return f"{chr(10) if comment else ''}{comment}{key} = {value}\n"


def _table(name: str) -> str:
    comment, keys = _TABLES[name]
    lines = []
    for key in keys:
        asks = PERMISSIONS[key].asks if name == "permissions" and key in PERMISSIONS else ""
        lines.append(f'{key} = ""{"  # " if asks else ""}{asks}\n')
    return f"\n[{name}]\n# {comment}\n{''.join(lines)}"


def _text(value: str) -> str:
    return tomlkit.item(value).as_string()


def _next(there: AoT) -> int:
    """Return the number after the highest whole one, or after how many there are."""
    numbers = [int(v) for entry in there if (v := str(entry.get("version", ""))).isdecimal()]
    return max([*numbers, len(there)]) + 1


def _with_top(text: str, start: str) -> str:
    """Return the text with lines before its first table, or at its end where it has none."""
    first = next((one.line for one in source.statements(text) if one.is_table), None)
    if first is None:
        return _after(text, start)
    lines, number = text.splitlines(keepends=True), first - 1
    while number and lines[number - 1].lstrip().startswith("#"):
        number -= 1  # a comment belongs to what follows
    return "".join((*lines[:number], start.lstrip("\n"), "\n", *lines[number:]))


def _after(text: str, end: str) -> str:
    return text + ("\n" if end and text and not text.endswith("\n") else "") + end


def _is_toml(text: str) -> bool:
    try:
        tomlkit.parse(text)
    except TOMLKitError:
        return False
    return True


def _keeps(before: Mapping[str, Any], made: str) -> bool:
    """Return whether each value is still there and the same."""
    if not _is_toml(made):
        return False
    after = tomlkit.parse(made).unwrap()
    return all(
        all(after[key].get(k) == v for k, v in value.items())
        if isinstance(value, dict)
        else after.get(key) == value
        for key, value in before.items()
    )
