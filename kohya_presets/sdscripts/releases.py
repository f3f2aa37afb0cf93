"""The releases of sd-scripts: their order, their commits, and how to know one by its files."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.problems import did_you_mean

DEFAULT = "v0.10.1"
FACTS = Path(__file__).parent / "facts"
# The files that identify a release, as far as the SDXL scripts are concerned.
IDENTIFYING = (
    "sdxl_train.py",
    "networks/extract_lora_from_models.py",
    "networks/resize_lora.py",
    "library/train_util.py",
    "library/sdxl_train_util.py",
    "library/sdxl_model_util.py",
    "library/config_util.py",
)
_FENCE = re.compile(r"^[ \t]*# (>>>|<<<) kohya-presets: ")
_KEPT = re.compile(r"^([ \t]*)# \| ?(.*)$")


@dataclass(frozen=True)
class Release:
    """A tag of sd-scripts, the commit it names (40 hex digits), and that commit's date."""

    tag: str
    commit: str
    date: str
    fingerprints: Mapping[str, str]  # identifying file -> `fingerprint` of its text


@dataclass(frozen=True)
class Between:
    """What Kohya GUI versions run that is not a release: a commit between two, or their own files.

    For the SDXL scripts all `commits` are the same; empty where a Kohya GUI contains the files.
    """

    name: str  # the last commit's first 12 digits, or "gui-" and the last version
    commits: tuple[str, ...]
    gui: tuple[str, ...]  # tags of the Kohya GUI, oldest first
    fingerprints: Mapping[str, str]


@functools.cache
def every() -> tuple[Release, ...]:
    """Return all known releases, oldest first."""
    return tuple(Release(**release) for release in _facts()["releases"])


@functools.cache
def between() -> tuple[Between, ...]:
    """Return the known commits between two releases, oldest Kohya GUI first."""
    return tuple(
        Between(known["name"], tuple(known["commits"]), tuple(known["gui"]), known["fingerprints"])
        for known in _facts()["between"]
    )


def of_gui(tag: str) -> str | None:
    """Return the release, or the name of the commit between two, that a Kohya GUI version runs."""
    listed: dict[str, list[str]] = _facts()["gui"]
    found = (name for name, tags in listed.items() if tag in tags)
    return next(found, None) or next((b.name for b in between() if tag in b.gui), None)


def tags() -> tuple[str, ...]:
    """Return the tags of all known releases, oldest first."""
    return tuple(release.tag for release in every())


def get(text: str) -> Release | None:
    """Return the release that a tag ("v0.10.1", "0.10.1") or a commit (7 digits or more) names."""
    tag = text if text.startswith("v") else f"v{text}"
    for release in every():
        if release.tag == tag or (is_commit(text) and release.commit.startswith(text.lower())):
            return release
    return None


def find(text: str) -> Release:
    """Return the release that `text` names, as `get` does.

    Raises:
        UserError: there is no such release.
    """
    if release := get(text):
        return release
    near = did_you_mean(text if text.startswith("v") else f"v{text}", tags())
    known = f"Use {tags()[0]} to {tags()[-1]}, or a full commit hash (40 hex digits)."
    raise UserError(f"there is no release {text!r} of sd-scripts", hint=near or known)


def is_commit(text: str) -> bool:
    """Return whether `text` could name a commit: 7 to 40 hexadecimal digits."""
    return re.fullmatch(r"[0-9a-fA-F]{7,40}", text) is not None


def order(tag: str) -> tuple[int, ...]:
    """Return a key to sort tags by; "v0.10" and "v0.10.0" are the same."""
    numbers = re.fullmatch(r"v?(\d+(?:\.\d+)*)", tag.strip())
    if numbers is None:
        raise ValueError(f"expected a tag such as v0.10.1, got {tag!r}")
    parts = [int(number) for number in numbers[1].split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def satisfies(tag: str, spec: str) -> bool:
    """Return whether `tag` fits a preset's `releases`, e.g. ">=0.7.1,<0.11".

    Raises:
        ValueError: `spec` has another form.
    """
    fits = [_fits(order(tag), condition) for condition in spec.split(",")]  # each is read
    return all(fits)


def best_for(spec: str) -> str:
    """Return the default release where it fits a preset's `releases`, else the newest that does.

    If no release fits, it is the default too.
    """
    for tag in (DEFAULT, *reversed(tags())):
        if satisfies(tag, spec):
            return tag
    return DEFAULT


def is_range(spec: str) -> bool:
    """Return whether `spec` has the form that `satisfies` takes."""
    try:
        satisfies(DEFAULT, spec)
    except ValueError:
        return False
    return True


def fingerprint(text: str) -> str:
    """Return 16 hex digits for a file's text, ignoring line ends and our own patches."""
    import hashlib  # `list` and `show` need no OpenSSL

    return hashlib.sha256(unpatched(text).encode("utf-8")).hexdigest()[:16]


def unpatched(text: str) -> str:
    """Return `text` with Unix line ends and without the fenced blocks that our patches insert.

    Lines kept in a fence as comments (`# | `) are upstream's; they are restored.
    """
    kept: list[str] = []
    inside = False
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"):
        if fence := _FENCE.match(line):
            inside = fence[1] == ">>>"
        elif not inside:
            kept.append(line)
        elif original := _KEPT.match(line):
            kept.append(original[1] + original[2])
    return "\n".join(kept)


@functools.cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((FACTS / "releases.json").read_text(encoding="utf-8"))
    return facts


def _fits(tag: tuple[int, ...], condition: str) -> bool:
    parts = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)\s*(v?[\d.]+)\s*", condition)
    if parts is None:
        raise ValueError(f'expected a condition such as ">=0.7.1", got {condition!r}')
    wanted = order(parts[2])
    return {
        ">=": tag >= wanted,
        "<=": tag <= wanted,
        "==": tag == wanted,
        "!=": tag != wanted,
        ">": tag > wanted,
        "<": tag < wanted,
    }[parts[1]]
