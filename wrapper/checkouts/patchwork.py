"""Patches in a checkout: which are applied, and what applying or reverting one changes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kohya_presets.errors import AnchorError, PatchError
from patches import engine
from patches.engine import Edit
from patches.registry import Patch
from wrapper.checkouts.checkout import Checkout
from wrapper.system.rewrite import Change, Files

LIBRARY = "library"  # where runtime modules go; the scripts' own folder is first on their path
_MARK = b"kohya-presets: "
_HEADER = re.compile(r"# kohya-presets: ([\w.-]+) ([0-9a-f]{8})\n")
_FOREIGN = {"venv", ".venv", "env", "site-packages", "node_modules", "__pycache__", ".git"}

State = Literal["applied", "absent", "outdated", "altered", "does not fit"]


@dataclass(frozen=True)
class Status:
    """The state of a patch in a checkout, with the reason where it needs one."""

    patch: str
    state: State
    why: str = ""


def command(names: Sequence[str], where: str) -> str:
    """Return the command that applies patches to the checkout at `where`."""
    return f"kohya-presets patch apply {' '.join(names)} --checkout {where}"


def applying(checkout: Checkout, patches: Sequence[Patch]) -> tuple[Change, ...]:
    """Return the changes that apply `patches`; none for a patch that is applied already.

    Raises:
        AnchorError: a patch does not fit this release.
        PatchError: a fence is broken or edited, a file is in the way or cannot be read.
    """
    files = Files()
    for patch in patches:
        with _about(patch.name):
            for file, edits in _places(checkout, patch, files).items():
                with _about(file.name):
                    files.put(file, engine.apply(files.text(file), patch.name, edits))
            for source in patch.runtime:
                _install(files, checkout.scripts / LIBRARY / source.name, patch.name, source)
    return files.changes()


def reverting(
    checkout: Checkout, names: Sequence[str], *, even_edited: bool = False
) -> tuple[Change, ...]:
    """Return the changes that revert the patches called `names`, of any version.

    Raises:
        PatchError: a fence is broken, or was edited and `even_edited` is not set.
    """
    files = Files()
    for file in _marked(checkout):
        for name in names:
            with _about(f"{name}, {file.name}"):
                text = files.text(file)
                if header := _HEADER.match(text):
                    if header[1] == name:
                        _untouched(header[2], text[header.end() :], file, even_edited)
                        files.put(file, None)
                        break
                else:
                    files.put(file, engine.revert(text, name, even_edited=even_edited))
    return files.changes()


def status(checkout: Checkout, patch: Patch) -> Status:
    """Return the state of `patch` in a checkout."""
    there = patch.name in carried(checkout)
    try:
        changes = applying(checkout, [patch])
        gone = reverting(checkout, [patch.name])
    except AnchorError as error:
        return Status(patch.name, "does not fit", str(error))
    except PatchError as error:
        return Status(patch.name, "altered" if there else "absent", str(error))
    if not there:
        return Status(patch.name, "absent")
    if not changes:
        return Status(patch.name, "applied")
    to_change = {change.file for change in changes}
    if to_change.isdisjoint(change.file for change in gone):
        names = ", ".join(sorted(file.name for file in to_change))
        return Status(patch.name, "altered", f"only part of it is applied: {names} lacks it")
    return Status(patch.name, "outdated", "another version is applied; apply the patch again")


def carried(checkout: Checkout) -> frozenset[str]:
    """Return the names of all patches that left lines in a checkout."""
    return carried_by(_marked(checkout))


def carried_by(files: Sequence[Path]) -> frozenset[str]:
    """Return the names of all patches that left lines in `files`."""
    found: set[str] = set()
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        found |= set(re.findall(r"# (?:>>>|<<<) kohya-presets: ([\w.-]+)", text))
        found |= {header[1] for header in [_HEADER.match(text)] if header}
    return frozenset(found)


def _places(checkout: Checkout, patch: Patch, files: Files) -> dict[Path, list[Edit]]:
    """Return the edits of each file; of an edit that names several, the one with its anchor."""
    roots = {"scripts": checkout.scripts, "gui": None}
    if checkout.layout.startswith("gui"):
        roots["gui"] = checkout.folder
    places: dict[Path, list[Edit]] = {}
    for edit in patch.edits:
        root = roots[edit.root]
        if root is None:
            continue
        there = [root / name for name in edit.files if (root / name).is_file()]
        counts = {}
        for file in there:
            with _about(file.name):
                counts[file] = engine.count(files.text(file), edit)
        found = [file for file, count in counts.items() if count]
        if len(found) != 1 or counts[found[0]] != 1:
            names = " or ".join(edit.files)
            raise AnchorError(
                f"expected one `{edit.anchor}` in {names}, found {sum(counts.values())}",
                hint=f"{patch.name} does not support this sd-scripts ({checkout.name}). "
                "Use another release.",
            )
        places.setdefault(found[0], []).append(edit)
    return places


def _install(files: Files, file: Path, name: str, source: Path) -> None:
    code = source.read_text(encoding="utf-8")
    if file.exists():
        header = _HEADER.match(text := files.text(file))
        if header is None or header[1] != name:
            raise PatchError(
                f"{file} exists already, and is not of this patch",
                hint="Move or rename it: the patch installs a file of that name.",
            )
        _untouched(header[2], text[header.end() :], file, even_edited=False)
    files.put(file, f"# kohya-presets: {name} {_digest(code)}\n{code}")


def _untouched(digest: str, code: str, file: Path, even_edited: bool) -> None:
    if not even_edited and _digest(code) != digest:
        raise PatchError(
            f"{file.name} was edited by hand",
            hint="Save your edit elsewhere, then discard it with `patch revert --even-edited`.",
        )


def _digest(code: str) -> str:
    return hashlib.sha256(code.replace("\r\n", "\n").encode("utf-8")).hexdigest()[:8]


def _marked(checkout: Checkout) -> tuple[Path, ...]:
    """Return the Python files that contain lines of a patch."""
    return tuple(f for f in _python_files(checkout.folder) if _MARK in f.read_bytes())


def _python_files(folder: Path) -> Iterator[Path]:
    for at, inner, files in os.walk(folder):
        # Not into environments, which lie in a Kohya GUI's folder with their 30 000 files.
        own = (name for name in inner if name not in _FOREIGN)
        inner[:] = [name for name in own if not (Path(at) / name / "pyvenv.cfg").exists()]
        yield from (Path(at) / name for name in sorted(files) if name.endswith(".py"))


@contextlib.contextmanager
def _about(where: str) -> Iterator[None]:
    try:
        yield
    except PatchError as error:
        raise type(error)(f"{where}: {error}", hint=error.hint) from error
