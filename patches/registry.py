"""The patches there are: folders with a `patch.toml`, ours beside this file and the user's own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kohya_presets.errors import PatchError, ProblemsError, UserError
from kohya_presets.problems import Place, Problem, did_you_mean
from kohya_presets.sdscripts.additions import Addition, Additions
from kohya_presets.sdscripts.options import SCRIPTS, TYPES, Option, check
from kohya_presets.toml import source as toml_source
from kohya_presets.toml.source import Key, Source
from patches import anchors
from patches.anchors import ANY
from patches.engine import Edit

FORMAT = 1
FILE = "patch.toml"
SHIPPED = Path(__file__).parent

_KEYS: Mapping[str, Mapping[str, str]] = {
    "patch": {"name": "str", "summary": "str", "runtime": "list", "optimizers": "list"},
    "option": {
        "name": "str",
        "type": "str",
        "default": "any",
        "choices": "list",
        "scripts": "list",
    },
    "edit": {
        "file": "either",
        "function": "str",
        "anchor": "str",
        "where": "str",
        "lines": "str",
        "root": "str",
    },
}
_NEEDED = ("name", "summary", "type", "scripts", "file", "anchor", "where", "lines")
_WORDS = {"str": "text", "list": "a list of texts", "either": "text or a list of texts"}
_CHOICES = {"where": ("before", "after", "inside", "replace"), "root": ("scripts", "gui")}


class PatchFileError(ProblemsError):
    """A patch.toml has errors; one `Problem` for each."""

    exit_code = PatchError.exit_code


@dataclass(frozen=True)
class Patch:
    """A patch as its folder describes it; `runtime` is copied into the checkout's `library/`."""

    name: str
    summary: str
    folder: Path
    edits: tuple[Edit, ...]
    runtime: tuple[Path, ...]
    addition: Addition

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that decides what the patch does."""
        return (self.folder / FILE, *self.runtime)

    def sha256(self) -> str:
        """Return the hash of `files`; line ends make no difference."""
        parts = (file.read_bytes().replace(b"\r\n", b"\n") for file in self.files)
        return hashlib.sha256(b"".join(parts)).hexdigest()


def every(own: Path | None = None) -> tuple[Patch, ...]:
    """Return the shipped patches and those in the folder `own`, by name, without broken ones."""
    found = {patch.name: patch for patch in _loaded(own) if isinstance(patch, Patch)}
    return tuple(found[name] for name in sorted(found))


def broken(own: Path | None = None) -> tuple[PatchFileError, ...]:
    """Return what is wrong with each patch that has errors."""
    return tuple(found for found in _loaded(own) if isinstance(found, PatchFileError))


def find(wanted: str, own: Path | None = None) -> Patch:
    """Return a patch by its folder's path or its name; the user's patches come before ours.

    Raises:
        UserError: there is none.
        PatchFileError: its patch.toml has errors.
    """
    if (Path(wanted) / FILE).is_file():
        return load(Path(wanted).resolve())
    folders = {folder.name: folder for folder in _folders(own)}  # the user's over ours
    for name in (wanted, wanted.replace("-", "_")):
        if name in folders:
            return load(folders[name])
    known = sorted(name.replace("_", "-") for name in folders)
    hint = did_you_mean(wanted, known) or f"Known: {', '.join(known)}. Or give a folder."
    raise UserError(f"there is no patch {wanted!r}", hint=hint)


def additions(own: Path | None = None) -> Additions:
    """Return what the shipped patches and those in `own` add; one with errors adds nothing."""
    return Additions(tuple(patch.addition for patch in every(own)))


def load(folder: Path) -> Patch:
    """Return the patch in `folder`.

    Raises:
        PatchFileError: with every fault of its patch.toml.
    """
    try:
        source = toml_source.read(folder / FILE)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        unread = Problem("unreadable", "error", Place(folder / FILE), message)
        raise PatchFileError(f"patch {folder.name!r}", [unread]) from None
    problems = source.problems or tuple(_problems(source, folder))
    if problems:
        raise PatchFileError(f"patch {folder.name!r}", problems)
    head = source.values["patch"]
    return Patch(
        name=head["name"],
        summary=head["summary"],
        folder=folder,
        edits=tuple(map(_edit, source.values.get("edit", ()))),
        runtime=tuple(folder / file for file in head.get("runtime", ())),
        addition=Addition(
            head["name"],
            tuple(
                (_option(table), tuple(table["scripts"]))
                for table in source.values.get("option", ())
            ),
            tuple(head.get("optimizers", ())),
        ),
    )


def _loaded(own: Path | None) -> Iterator[Patch | PatchFileError]:
    for folder in _folders(own):
        try:
            yield load(folder)
        except PatchFileError as error:
            yield error


def _edit(values: Mapping[str, Any]) -> Edit:
    return Edit(
        files=_texts(values["file"]),
        anchor=values["anchor"],
        where=values["where"],
        lines=values["lines"],
        function=values.get("function"),
        root=values.get("root", "scripts"),
    )


def _folders(own: Path | None) -> Iterator[Path]:
    """Yield the folders of all patches: the shipped ones, then those in the folder `own`."""
    for place in (SHIPPED, own):
        yield from sorted(file.parent for file in place.glob(f"*/{FILE}")) if place else ()


def _option(values: Mapping[str, Any]) -> Option:
    choices = tuple(values.get("choices", ()))
    return Option(values["name"], values["type"], choices, values.get("default"))


def _problems(source: Source, folder: Path) -> Iterator[Problem]:
    values = source.values
    if values.get("format") != FORMAT:
        newer = isinstance(values.get("format"), int) and values["format"] > FORMAT
        message = f"expected format = {FORMAT}, found {values.get('format')!r}"
        hint = "Update kohya-presets: the patch needs a newer version." if newer else None
        yield Problem("format", "error", source.place("format"), message, hint)
        return
    for key in values.keys() - {"format", *_KEYS}:
        hint = did_you_mean(key, ("format", *_KEYS))
        yield Problem("unknown-key", "error", source.place(key), f"unknown key {key!r}", hint)
    yield from _table(source, ("patch",), values.get("patch"))
    if isinstance(head := values.get("patch"), dict):
        yield from _head_problems(source, head, folder)
    for name, judge in (("option", _option_problems), ("edit", _edit_problems)):
        tables = values.get(name, [])
        if not isinstance(tables, list):
            message = f"expected tables [[{name}]]"
            yield Problem("type", "error", source.place(name), message)
            continue
        for number, table in enumerate(tables):
            wrong = list(_table(source, (name, str(number)), table))
            yield from wrong
            if not wrong:
                yield from judge(source, (name, str(number)), table)


def _table(source: Source, at: Key, table: Any) -> Iterator[Problem]:
    """Yield what is unknown, missing or of another type in one table."""
    if not isinstance(table, dict):
        yield Problem("type", "error", source.place(*at), f"expected a table [{at[0]}]")
        return
    known = _KEYS[at[0]]
    for key in known:
        if key in _NEEDED and key not in table:
            yield Problem("missing", "error", source.place(*at), f"{key} is missing")
    for key, value in table.items():
        where = source.place(*at, key)
        if key not in known:
            hint = did_you_mean(key, known)
            yield Problem("unknown-key", "error", where, f"unknown key {key!r}", hint)
        elif not _is(known[key], value):
            message = f"expected {_WORDS[known[key]]}, found {value!r}"
            yield Problem("type", "error", where, message)


def _is(kind: str, value: Any) -> bool:
    if kind == "any":
        return True
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return (kind != "list" and isinstance(value, str)) or (kind != "str" and texts)


def _head_problems(source: Source, head: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    name = head.get("name", folder.name)
    spelled = (folder.name, folder.name.replace("_", "-"))  # a Python package has no dash
    if name not in spelled or not re.fullmatch(r"[\w.-]+", str(name)):
        expected = " or ".join(map(repr, dict.fromkeys(spelled)))
        message = f"expected the folder's name {expected}, found {name!r}"
        yield Problem("name", "error", source.place("patch", "name"), message)
    runtime = head.get("runtime", ())
    for file in runtime if isinstance(runtime, list) else ():
        if not re.fullmatch(r"kp_\w+\.py", str(file)) or not (folder / str(file)).is_file():
            message = f"expected a file kp_….py in the folder of {FILE}, found {file!r}"
            yield Problem("runtime", "error", source.place("patch", "runtime"), message)


def _option_problems(source: Source, at: Key, option: Mapping[str, Any]) -> Iterator[Problem]:
    if option["type"] not in TYPES:
        hint = did_you_mean(option["type"], TYPES) or f"Known: {', '.join(TYPES)}."
        message = f"unknown type {option['type']!r}"
        yield Problem("choice", "error", source.place(*at, "type"), message, hint)
    elif "default" in option and (fault := check(_option(option), option["default"])):
        yield Problem("type", "error", source.place(*at, "default"), fault)
    for script in option["scripts"]:
        if script not in SCRIPTS:
            hint = did_you_mean(script, SCRIPTS) or f"Known: {', '.join(SCRIPTS)}."
            message = f"unknown script {script!r}"
            yield Problem("choice", "error", source.place(*at, "scripts"), message, hint)


def _edit_problems(source: Source, at: Key, edit: Mapping[str, Any]) -> Iterator[Problem]:
    for key, choices in _CHOICES.items():
        if isinstance(found := edit.get(key), str) and found not in choices:
            message = f"expected one of {', '.join(choices)}, found {found!r}"
            yield Problem("choice", "error", source.place(*at, key), message)
    try:
        anchor = anchors.parse(str(edit.get("anchor", ANY)))
    except (SyntaxError, ValueError) as error:
        message = f"expected one Python statement, found {edit['anchor']!r}: {error}"
        yield Problem("anchor", "error", source.place(*at, "anchor"), message)
    else:
        if edit.get("where") == "inside" and not hasattr(anchor, "body"):
            message = 'where = "inside" needs an anchor with a body, such as "for _ in _: ..."'
            yield Problem("anchor", "error", source.place(*at, "where"), message)
    for file in _texts(edit.get("file", ())):
        if PurePosixPath(file).is_absolute() or ".." in file or "\\" in file or ":" in file:
            message = f"expected a path inside the checkout, written with /, found {file!r}"
            yield Problem("file", "error", source.place(*at, "file"), message)


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value))
