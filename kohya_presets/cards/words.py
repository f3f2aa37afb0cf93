"""What only the author knows: the values of `card.toml`, what is wrong in it, and its gaps."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kohya_presets import secrets
from kohya_presets.problems import Problem, did_you_mean
from kohya_presets.toml.source import Source

FORMAT = 1
NAME = "card.toml"
NOTHING = "-"  # the author's word for: leave it out
TEXT, TEXTS, YES_NO = "a text", "a text or a list of texts", "true or false"
TOP: Mapping[str, str] = {
    **dict.fromkeys(("title", "description", "author", "notes"), TEXT),
    **dict.fromkeys(("license", "license_name", "license_link", "base_model"), TEXT),
    **dict.fromkeys(("trigger", "tags", "links"), TEXTS),
}
RECOMMENDED: Mapping[str, str] = {  # and what each is called
    "strength": "LoRA strength",
    "sampler": "Sampler",
    "steps": "Steps",
    "cfg_scale": "CFG scale",
    "size": "Size",
    "negative_prompt": "Negative prompt",
    "other": "Also",
}


class Permission(NamedTuple):
    """A question about what others may do, and what a card says for true, and for false."""

    asks: str
    yes: str
    no: str


PERMISSIONS: Mapping[str, Permission] = {
    "use_without_credit": Permission(
        "may others use it without naming you?",
        "You may use it without naming me.",
        "Name me when you use it.",
    ),
    "sell_pictures": Permission(
        "may others sell pictures that they make with it?",
        "You may sell pictures that you make with it.",
        "You may not sell pictures that you make with it.",
    ),
    "paid_services": Permission(
        "may services that take money for pictures run it?",
        "You may run it on a service that takes money for pictures.",
        "You may not run it on a service that takes money for pictures.",
    ),
    "share_merges": Permission(
        "may others share merges of it?",
        "You may share merges of it.",
        "You may not share merges of it.",
    ),
    "other_permissions_on_merges": Permission(
        "may merges of it have other permissions?",
        "Merges of it may have other permissions than these.",
        "Merges of it must have the same permissions as these.",
    ),
    "sell_model": Permission(
        "may others sell it, or merges of it?",
        "You may sell it, or merges of it.",
        "You may not sell it, and no merges of it.",
    ),
}
_ASKS = {
    "description": "one or two sentences that say what this model is",
    "trigger": "the trigger words",
    "recommended": "the settings that you find best (strength, sampler, steps, CFG scale, size)",
}
_VERSION: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("version", "changes"), (str, int, float)),
    **dict.fromkeys(("lora", "preset"), str),
    "date": (datetime.date, str),
    **dict.fromkeys(("images", "epochs", "rank"), int),
}


class Gap(NamedTuple):
    """Something that only the author knows and has not written yet."""

    key: str  # in card.toml
    asks: str

    def __str__(self) -> str:
        return f"TO FILL IN: {self.asks}"


class Version(NamedTuple):
    """One LoRA that had a card: what it was made of, and what the author says has changed."""

    version: str
    lora: str  # SHA-256 of its weights
    date: str = ""
    changes: str = ""
    preset: str = ""
    images: int = 0
    epochs: int = 0
    rank: int = 0


@dataclass(frozen=True)
class Words:
    """The author's words. `gaps` are those that are missing; a text that is "-" is left out."""

    title: str = ""
    description: str = ""
    trigger: tuple[str, ...] = ()
    author: str = ""
    notes: str = ""
    license: str = ""
    license_name: str = ""
    license_link: str = ""
    base_model: str = ""
    tags: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    recommended: Mapping[str, str] = field(default_factory=dict)
    permissions: Mapping[str, bool] = field(default_factory=dict)
    other_permissions: str = ""
    versions: tuple[Version, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def gap(self, key: str) -> Gap | None:
        """Return the gap at `key`, if there is one."""
        return next((gap for gap in self.gaps if gap.key == key), None)


def of(source: Source) -> Words:
    """Return what `card.toml` says; of what `problems` finds wrong, nothing."""
    values = source.values
    recommended, permissions = _table(values, "recommended"), _table(values, "permissions")
    versions = tuple(_versions(values))
    top: dict[str, Any] = {
        key: _said(values.get(key)) if kind == TEXT else _several(values.get(key))
        for key, kind in TOP.items()
    }
    return Words(
        **top,
        recommended={key: text for key in RECOMMENDED if (text := _said(recommended.get(key)))},
        permissions={
            key: value for key in PERMISSIONS if isinstance(value := permissions.get(key), bool)
        },
        other_permissions=_said(permissions.get("other")),
        versions=versions,
        gaps=tuple(_gaps(values, recommended, permissions, versions)),
    )


def problems(source: Source) -> Iterator[Problem]:
    """Yield what is wrong in `card.toml`: it is not TOML, a value is of another kind, no such key.

    A key that does not exist is a warning: it has no effect.
    """
    yield from source.problems
    values = source.values
    if source.problems:
        return
    known = {**TOP, "format": "", "recommended": "", "permissions": "", "versions": ""}
    for key, value in values.items():
        if key not in known:
            yield _unknown(source, (key,), known)
        elif key in TOP and not _fits(value, TOP[key]):
            yield _wrong(source, (key,), TOP[key], value)
        if secrets.holds(value):
            message = "expected words that everybody may read, found what looks like a token"
            yield Problem("card-secret", "error", source.place(key), message, "Delete it there.")
    if not isinstance(values.get("format", FORMAT), int) or values.get("format", FORMAT) > FORMAT:
        yield Problem(
            "card-format",
            "error",
            source.place("format"),
            f"expected format = {FORMAT}, found {values['format']!r}",
            "Update kohya-presets.",
        )
    yield from _table_problems(source, "recommended", dict.fromkeys(RECOMMENDED, TEXT))
    yield from _table_problems(
        source, "permissions", {**dict.fromkeys(PERMISSIONS, YES_NO), "other": TEXT}
    )
    for entry in values.get("versions", ()) if _are_tables(values.get("versions", [])) else ():
        for key, value in entry.items():
            if key in _VERSION and not isinstance(value, _VERSION[key]):
                yield _wrong(source, ("versions", key), "what kohya-presets wrote", value)
    if not _are_tables(values.get("versions", [])):
        yield _wrong(source, ("versions",), "tables [[versions]]", values["versions"])


def _table_problems(source: Source, name: str, kinds: Mapping[str, str]) -> Iterator[Problem]:
    table = source.values.get(name, {})
    if not isinstance(table, Mapping):
        yield _wrong(source, (name,), f"a table [{name}]", table)
        return
    for key, value in table.items():
        if key not in kinds:
            yield _unknown(source, (name, key), kinds)
        elif not _fits(value, kinds[key]):
            yield _wrong(source, (name, key), kinds[key], value)


def _fits(value: Any, kind: str) -> bool:
    if value in ("", NOTHING):
        return True
    if kind == YES_NO:
        return isinstance(value, bool)
    if kind == TEXTS and isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _wrong(source: Source, key: tuple[str, ...], kind: str, value: Any) -> Problem:
    return Problem(
        "card-value", "error", source.place(*key), f"expected {kind}, found {value!r}"[:200]
    )


def _unknown(source: Source, key: tuple[str, ...], known: Mapping[str, str]) -> Problem:
    hint = did_you_mean(key[-1], known)
    message = "card.toml has no such key, so it is not used"
    return Problem("card-key", "warning", source.place(*key), message, hint)


def _gaps(
    values: Mapping[str, Any],
    recommended: Mapping[str, Any],
    permissions: Mapping[str, Any],
    versions: tuple[Version, ...],
) -> Iterator[Gap]:
    for key in ("description", "trigger"):
        if not _written(values.get(key)):
            yield Gap(key, _ASKS[key])
    if not any(_written(recommended.get(key)) for key in RECOMMENDED):
        yield Gap("recommended", _ASKS["recommended"])
    for key, permission in PERMISSIONS.items():
        if permissions.get(key) != NOTHING and not isinstance(permissions.get(key), bool):
            yield Gap(f"permissions.{key}", permission.asks)
    for entry, version in zip(values.get("versions", ()), versions, strict=False):
        if not _written(entry.get("changes")):
            yield Gap(f"versions.{version.version}", f"what is new in version {version.version}")


def _versions(values: Mapping[str, Any]) -> Iterator[Version]:
    found = values.get("versions", [])
    for number, entry in enumerate(found if _are_tables(found) else [], 1):
        numbers = {
            key: entry[key] if isinstance(entry.get(key), int) else 0
            for key in ("images", "epochs", "rank")
        }
        lora, date, changes, preset = map(
            _said, (entry.get(key) for key in ("lora", "date", "changes", "preset"))
        )
        name = _said(entry.get("version")) or str(number)
        yield Version(name, lora, date, changes, preset, **numbers)


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _written(value: Any) -> bool:
    """Return whether the author wrote something, "-" too."""
    return bool(value.strip()) if isinstance(value, str) else bool(value or value == 0)


def _said(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | datetime.date):
        return ""
    text = str(value).replace("\r\n", "\n").strip()
    return "" if text == NOTHING else text


def _several(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(text for item in items if (text := _said(item)))
