"""Copies of a checkout of ours, one for each set of patches: the checkout itself is never patched.

A copy's name follows from what is in it: the commit, the user's edits, the patches. Files that no
patch changes are links to the checkout's own; a file that a patch changes is replaced, never
written into.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kohya_presets.errors import PatchError, UserError
from kohya_presets.problems import listed
from kohya_presets.toml import source as toml_source
from kohya_presets.toml import text as toml_text
from patches.registry import Patch
from wrapper.checkouts import checkout, contents, patchwork
from wrapper.checkouts.checkout import COPIES, FILES, RECORD, SOURCES, Checkout
from wrapper.system import folders, locks, paths, rewrite, sizes, users

FORMAT = 1
PATIENCE_SECONDS = 60  # patching takes less than one
_LEFT_OUT = shutil.ignore_patterns(".git", "__pycache__", "*.part")


@dataclass(frozen=True)
class Copy:
    """A copy, and what a person wants to know before deleting it."""

    made: Checkout
    size: int  # bytes that deleting it frees
    user: str | None  # the process that uses it
    edits: tuple[str, ...]  # files that the user changed

    @property
    def carries(self) -> str:
        """Its patches, as a person reads them."""
        return ", ".join(name for name, _ in self.made.patches) or "no patches"


def with_patches(
    found: Checkout, patches: Sequence[Patch], *, on_step: Callable[[str], None]
) -> Checkout:
    """Return a checkout of ours with exactly these patches: itself for none, else a copy.

    The copy is made once. What is returned counts as used for as long as this process lives.

    Raises:
        PatchError: one of the patches does not fit.
        UserError: the copy was edited by hand, or cannot be written.
    """
    base = _base(found)
    patches = sorted({patch.name: patch for patch in patches}.values(), key=lambda p: p.name)
    clean = _restored(base, on_step)
    if clean and not patches:
        users.hold(base.folder.parent / RECORD)
        return base
    with _alone():
        at = _place(base, patches)
        if not (at / RECORD).is_file():
            names = f"the {_counted(patches)}" if patches else "no patches"
            on_step(f"creating a copy of sd-scripts {base.name} with {names}")
            _make(base, patches, at)
        made = checkout.recorded(at)
        _require_intact(made)
        users.hold(at / RECORD)
    return made


def foreseen(found: Checkout, patches: Sequence[Patch]) -> Path:
    """Return where the scripts with these patches are or will be."""
    base = _base(found)
    return _place(base, patches) / SOURCES if patches and base.is_ours else found.scripts


def listing(wanted: str | None = None) -> list[Copy]:
    """Return the copies of our checkout of a tag or commit, or of all checkouts of ours."""
    bases = checkout.listing() if wanted is None else (checkout.find(wanted),)
    return [_described(made) for base in bases for made in checkout.copies(base.folder.parent)]


def delete(copies: Sequence[Copy]) -> Iterator[Copy]:
    """Delete copies, and yield each that is deleted; one that a process uses now stays."""
    with _alone() if copies else nullcontext():
        for copy in copies:
            own = copy.made.folder.parent
            folders.clear(own.parent)
            if users.of(own):
                continue
            try:
                # Out of its place at once: what is left if we are killed is no copy any more.
                gone = own.rename(own.with_name(f"{folders.MAKING}{own.name}"))
            except OSError as error:
                hint = "Close the programs that use it, then run the same command again."
                raise UserError(f"cannot delete {own}: {error.strerror}", hint=hint) from error
            folders.delete(gone)
            yield copy


def _base(found: Checkout) -> Checkout:
    """Return the checkout itself, of one of its copies."""
    return checkout.recorded(found.place) if found.is_copy and found.place else found


def _restored(base: Checkout, on_step: Callable[[str], None]) -> bool:
    """Return whether a checkout has no patches, after removing those of an earlier version."""
    there = sorted(patchwork.carried(base))
    if not there:
        return True
    if used := users.of(base.folder):
        by = users.described(used[0])
        on_step(f"{base.folder} has patches and is in use by {by}: using a copy")
        return False
    try:
        with rewrite.alone(base.folder, patience_seconds=PATIENCE_SECONDS):
            rewrite.carry_out(patchwork.reverting(base, there))
    except PatchError as error:
        on_step(f"{base.folder} has patches that cannot be removed: {error}; using a copy")
        return False
    on_step(f"removed patches from {base.folder}: {', '.join(there)} (runs use copies now)")
    return True


def _place(base: Checkout, patches: Sequence[Patch]) -> Path:
    """Return the folder of a copy; one of its name has the same content."""
    own = base.folder.parent
    edited: list[tuple[str, str]] = []
    if (own / FILES).is_file():
        came = json.loads((own / FILES).read_text(encoding="utf-8"))
        edited = sorted(came.items() ^ contents.fingerprints(base.scripts).items())
    content = {
        "format": FORMAT,
        "commit": base.commit or own.name,
        "edited": edited,
        "patches": {patch.name: patch.sha256() for patch in patches},
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return own / COPIES / digest[:12]


def _make(base: Checkout, patches: Sequence[Patch], at: Path) -> None:
    """Make the copy `at`, whole or not at all."""
    try:
        at.parent.mkdir(exist_ok=True)
        folders.clear(at.parent)
        if at.exists():  # without a record: it was never complete
            folders.delete(at)
        with folders.made(at.parent) as work:
            copy = replace(base, folder=work / SOURCES, scripts=work / SOURCES)
            shutil.copytree(base.scripts, copy.scripts, copy_function=_link, ignore=_LEFT_OUT)
            inside = sorted(patchwork.carried(copy))
            rewrite.carry_out(patchwork.reverting(copy, inside, even_edited=True))
            rewrite.carry_out(patchwork.applying(copy, patches))
            if (base.scripts / ".git").is_dir():
                # sd-scripts asks git for its commit, and writes it into each LoRA.
                there = os.path.relpath(base.scripts / ".git", at / SOURCES)
                (copy.scripts / ".git").write_text(f"gitdir: {Path(there).as_posix()}\n", "utf-8")
            _write_record(base, patches, copy, work)
            work.replace(at)
    except OSError as error:
        why = error.strerror or "; ".join(str(part) for part in error.args)
        hint = "Free some space, or set KOHYA_PRESETS_HOME to a folder on another disk."
        raise UserError(f"cannot create the copy {at}: {why}", hint=hint) from error


def _write_record(base: Checkout, patches: Sequence[Patch], copy: Checkout, work: Path) -> None:
    record = dict(toml_source.read(base.folder.parent / RECORD).values)
    hashes = {patch.name: patch.sha256() for patch in patches}
    text = toml_text.table({key: value for key, value in record.items() if key != "patches"})
    text += f"\n[patches]\n{toml_text.table(hashes)}"
    files = json.dumps(contents.hashes(copy.scripts), indent=0)
    (work / FILES).write_text(f"{files}\n", encoding="utf-8", newline="\n")
    (work / RECORD).write_text(text, encoding="utf-8", newline="\n")


def _link(source: os.DirEntry[str] | str, target: str) -> None:
    """Give a file a second name; where the disk has no such links, copy it."""
    if not Path(source).is_symlink():
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


def _require_intact(made: Checkout) -> None:
    """Raise UserError if a copy is not what it was when it was made."""
    if edited := checkout.edits(made):
        raise UserError(
            f"files in {made.folder} were edited: {', '.join(edited)}",
            hint="Save your edits elsewhere, then run `kohya-presets checkout clean --force`.",
        )


def _described(made: Checkout) -> Copy:
    own = made.folder.parent
    used = users.of(own)
    user = users.described(used[0]) if used else None
    return Copy(made, sizes.own(own), user, tuple(checkout.edits(made)))


def _alone() -> AbstractContextManager[None]:
    return locks.held(paths.checkouts() / ".lock")


def _counted(patches: Sequence[Patch]) -> str:
    return f"patch{'es' if len(patches) > 1 else ''} {listed([p.name for p in patches])}"
