"""The manifest of a pack: the archive that carries a training to another machine.

It names every file with its size and SHA-256, so that the other machine can tell whether it has
got exactly these. Paths have "/" between their parts, and never leave the folder.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.problems import first

FORMAT = 1
NAME = "pack.json"
LARGEST = 64_000_000  # bytes of a manifest: of half a million files
PRESET, CONFIG, DATASET, PROMPTS = "preset.toml", "config.toml", "dataset.toml", "prompts.txt"
DATA, BASE, TOOL, PATCHES, STATES = "data", "base", "tool", "patches", "states"  # folders
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"[A-Za-z]:")
_HINT = "Make it again with `kohya-presets pack`, and send it again."


@dataclass(frozen=True)
class Entry:
    """A file of a pack: its path in it, SHA-256 in hexadecimal, and size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a pack is for and what is in it.

    `base` is a reference on Hugging Face, or a path in the pack; `data` a path in it: a folder of
    images or a dataset config. `version` is that of the kohya-presets that made it.
    """

    name: str
    preset: str
    release: str
    base: str
    data: str
    version: str
    files: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.files)


def text(manifest: Manifest) -> str:
    """Return the manifest as a file: the same manifest, the same bytes."""
    values = {"format": FORMAT, **asdict(manifest)}
    values["files"] = {e.path: {"sha256": e.sha256, "size": e.size} for e in manifest.files}
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def parse(data: bytes) -> Manifest:
    """Return the manifest in a file.

    Raises:
        UserError: it is none, it is of a newer kohya-presets, or one of its paths is not safe.
    """
    try:
        values = json.loads(data.decode("utf-8"))
        if not isinstance(values, dict) or not isinstance(values.get("format"), int):
            raise ValueError("it has no format")
    except ValueError as error:
        raise UserError(f"{NAME} in the pack is damaged: {error}", hint=_HINT) from None
    if values["format"] != FORMAT:
        found = f"the pack has format {values['format']}, but this kohya-presets knows {FORMAT}"
        raise UserError(found, hint="Install the kohya-presets that made it, or a newer one.")
    try:
        texts = {key: values[key] for key in ("name", "preset", "release", "base", "data")}
        made = Manifest(**texts, version=values["version"], files=tuple(_entries(values["files"])))
        if not all(isinstance(value, str) for value in (*texts.values(), made.version)):
            raise TypeError("a text is missing")
    except (KeyError, TypeError, AttributeError) as error:
        message = f"{NAME} in the pack is damaged; missing or wrong: {error}"
        raise UserError(message, hint=_HINT) from None
    if wrong := [*_unsafe([entry.path for entry in made.files])]:
        raise UserError(f"the pack is not safe to unpack: {first(wrong)}", hint=_HINT)
    return made


def fault(path: str) -> str | None:
    """Return why a path must not be in a pack; None if it may.

    It would leave the folder, or means another file on another system.
    """
    if not path or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path):
        return "it is empty or has a control character, or one that is not Unicode"
    if path.startswith("/") or "\\" in path or _DRIVE.match(path):
        return "it is no relative path with / between its parts"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "it leaves the folder, or has an empty part"
    return None


def _unsafe(names: list[str]) -> Iterator[str]:
    for name in names:
        if found := fault(name):
            yield f"{name!r}: {found}"
    # Two names that are one file on some systems: the second would replace the first.
    same = Counter(unicodedata.normalize("NFC", name).casefold() for name in names)
    folders = {
        "/".join(name.split("/")[:n]) for name in names for n in range(1, name.count("/") + 1)
    }
    yield from (f"{name!r} is in it twice" for name, count in same.items() if count > 1)
    yield from (f"{name!r} is a file and a folder" for name in names if name in folders)
    if NAME in names:
        yield f"{NAME!r} cannot be a file of its own list"


def _entries(table: Any) -> Iterator[Entry]:
    for path, found in table.items():
        digest, size = found["sha256"], found["size"]
        if not isinstance(size, int) or size < 0 or not _DIGEST.fullmatch(digest):
            raise TypeError(f"the size or SHA-256 of {path!r}")
        yield Entry(path, digest, size)
