"""Checkouts: folders that contain sd-scripts, the user's own and those this tool created.

Ours are in `<home>/checkouts/NAME/`: `checkout.toml` says what it is, `sd-scripts/` holds the
sources, `environment/` (created by `environment`) the Python that runs them, `patched/` the copies
of the sources with patches (created by `trees`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets import secrets
from kohya_presets.errors import UserError
from kohya_presets.sdscripts import releases
from kohya_presets.sdscripts.releases import Release
from kohya_presets.toml import source as toml_source
from kohya_presets.toml import text as toml_text
from wrapper.checkouts import acquire, contents, recognize
from wrapper.checkouts.recognize import Layout
from wrapper.system import folders, locks, paths, users

RECORD = "checkout.toml"
FILES = "files.json"  # fingerprint of every file as it came
SOURCES = "sd-scripts"  # the folder that holds them
COPIES = "patched"  # the folder of the copies with patches
STANDIN = "stand-in"  # in place of a source

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Checkout:
    """A folder with sd-scripts in it; `scripts` is where sdxl_train.py lies."""

    folder: Path
    scripts: Path
    layout: Layout
    release: str | None  # whose files these are; None for a commit between two
    like: str  # the newest release whose options are all there
    commit: str | None = None
    origin: str | None = None  # where it came from; None for the user's own folder
    between: str | None = None  # which known commit between two, if it is no release
    patches: tuple[tuple[str, str], ...] = ()  # of a copy of ours: each name and hash, by name

    @property
    def is_standin(self) -> bool:
        """Whether these are our own three scripts and not sd-scripts."""
        return self.origin == STANDIN

    @property
    def is_ours(self) -> bool:
        """Whether this tool created it: it is then never patched itself, but copies of it are."""
        return self.place is not None

    @property
    def place(self) -> Path | None:
        """The folder that holds a checkout of ours with its environment and its copies."""
        return place_of(self.folder)

    @property
    def is_copy(self) -> bool:
        """Whether it is a copy of a checkout of ours, for a set of patches."""
        return self.is_ours and self.folder.parent != self.place

    @property
    def options_of(self) -> str:
        """Which of `options.releases()` it has the options of; the nearest, where it is none."""
        return self.release or self.between or self.like

    @property
    def name(self) -> str:
        """What a person calls it."""
        if self.is_standin:
            return "the stand-in"
        if self.release:
            return self.release
        return f"{self.commit[:12]} (like {self.like})" if self.commit else f"like {self.like}"


def place_of(folder: Path) -> Path | None:
    """Return the folder that holds the checkout of ours which `folder` is in, existing or not."""
    return next((at for at in folder.parents if at.parent == paths.checkouts()), None)


def open_folder(folder: Path) -> Checkout:
    """Return the checkout in any folder: a plain clone, a Kohya GUI, one of ours.

    Raises:
        UserError: it does not contain sd-scripts.
    """
    folder = folder.expanduser().absolute()
    for own in (folder, folder.parent):
        if (own / RECORD).is_file() and (own / SOURCES).is_dir():
            ours, real = paths.checkouts().resolve(), own.resolve()
            inside = real.is_relative_to(ours)  # also through a link
            return recorded(paths.checkouts() / real.relative_to(ours) if inside else own)
    scripts, layout = recognize.scripts_in(folder)
    known = recognize.likeness(scripts)
    release = known.exact[-1] if known.exact else None
    commit = releases.find(release).commit if release else acquire.head(scripts)
    return Checkout(folder, scripts, layout, release, known.like, commit, between=known.between)


def add(wanted: str | None, *, source: str | None = None, on_step: OnStep) -> Checkout:
    """Return the checkout of a tag or commit, downloaded or copied unless it exists.

    `source` is a URL, a folder or a zip; without it `SD_SCRIPTS_REMOTE`, else upstream. Without
    `wanted`, a folder or zip is used as it is, and a remote gives the default release.

    Raises:
        acquire.Unreachable: the remote does not answer.
        UserError: no such release or commit, no sd-scripts there, full disk; no files are left.
    """
    source = source or os.environ.get("SD_SCRIPTS_REMOTE") or acquire.REMOTE
    local = Path(source).expanduser()
    release, commit = _wanted(wanted, local)
    home = paths.checkouts()
    home.mkdir(parents=True, exist_ok=True)
    with locks.held(home / ".lock"):
        folders.clear(home)
        name = release.tag if release else commit[:12] if commit else None
        if name and (home / name / RECORD).is_file():
            return recorded(home / name)
        with folders.made(home) as work:
            verb = "copying" if local.exists() else "downloading"
            shown = secrets.masked(source)
            on_step(f"{verb} sd-scripts {name or ''} from {shown}".replace("  ", " "))
            _acquire(source, local, commit, work / SOURCES)
            return _settle(home, work, release, commit, source)


def listing() -> tuple[Checkout, ...]:
    """Return the checkouts this tool created, oldest release first."""
    return tuple(sorted(_in(paths.checkouts()), key=lambda c: (releases.order(c.like), c.folder)))


def copies(place: Path) -> list[Checkout]:
    """Return the copies with patches of the checkout of ours in the folder `place`."""
    return _in(place / COPIES)


def find(wanted: str) -> Checkout:
    """Return our checkout of a tag or commit.

    Raises:
        UserError: there is none; the hint says how to download it.
    """
    release = releases.get(wanted)
    for made in listing():
        if release and made.release == release.tag:
            return made
        if releases.is_commit(wanted) and (made.commit or "").startswith(wanted.lower()):
            return made
        if made.folder.parent.name == wanted:
            return made
    name = release.tag if release else wanted
    if not release and not releases.is_commit(wanted):
        releases.find(wanted)  # says what is known
    raise UserError(
        f"there is no checkout of {name}", hint=f"Run `kohya-presets checkout add {name}`."
    )


def remove(wanted: str, *, force: bool = False) -> Path:
    """Delete the checkout of a tag or commit with its environment; return where it was.

    Raises:
        UserError: there is none, a process uses it, or the user edited files (without `force`).
    """
    place = find(wanted).folder.parent
    users.require_none(place)
    if not force:
        require_unedited(place)
    folders.delete(place)
    return place


def require_unedited(place: Path) -> None:
    """Raise UserError if the user edited files of the checkout in `place`, or of its copies."""
    for made in (recorded(place), *copies(place)):
        if edited := edits(made):
            some = ", ".join(edited[:5]) + (", ..." if len(edited) > 5 else "")
            hint = "Save your edits elsewhere, or delete them too with --force."
            raise UserError(f"files in {made.scripts} were edited: {some}", hint=hint)


def edits(made: Checkout) -> list[str]:
    """Return the edited files of a checkout of ours; our patches do not count as edits."""
    came = json.loads((made.folder.parent / FILES).read_text(encoding="utf-8"))
    if made.is_copy:
        return sorted({file for file, _ in came.items() ^ contents.hashes(made.scripts).items()})
    now = contents.fingerprints(made.scripts)
    return sorted(file for file, was in came.items() if now.get(file) != was)


def _wanted(wanted: str | None, local: Path) -> tuple[Release | None, str | None]:
    if wanted is None:
        release = None if local.exists() else releases.find(releases.DEFAULT)
    elif releases.is_commit(wanted) and releases.get(wanted) is None:
        if len(wanted) != 40:
            raise UserError(
                f"expected a full commit of 40 digits, found {wanted!r}",
                hint="Run `git rev-parse COMMIT` in a clone to see the full commit.",
            )
        return None, wanted.lower()
    else:
        release = releases.find(wanted)
    return release, release.commit if release else None


def _acquire(source: str, local: Path, commit: str | None, into: Path) -> None:
    if local.is_file():
        acquire.from_zip(local, into)
    elif local.is_dir() and not (commit and acquire.is_repository(local)):
        scripts, _ = recognize.scripts_in(local)
        acquire.from_folder(scripts, into)
    elif local.is_dir():
        acquire.from_git(str(local.absolute()), str(commit), into)
    elif _looks_like_path(source):
        raise UserError(f"expected a URL, a folder or a zip, but {source} does not exist")
    else:
        acquire.from_git(source, str(commit), into)


def _looks_like_path(source: str) -> bool:
    return "://" not in source and not source.startswith("git@")


def _settle(
    home: Path, work: Path, release: Release | None, commit: str | None, source: str
) -> Checkout:
    scripts, _ = recognize.scripts_in(work / SOURCES)
    known = recognize.likeness(scripts)
    source = secrets.masked(secrets.without_credentials(source)[0])
    if release and release.tag not in known.exact:
        is_a = known.exact[-1] if known.exact else f"like {known.like}"
        raise UserError(
            f"expected sd-scripts {release.tag} from {source}, found {is_a}",
            hint="Leave out the tag to use these files as they are, or give another --from.",
        )
    if release is None and commit is None and known.exact:
        release = releases.find(known.exact[-1])
    files = contents.fingerprints(scripts)
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    commit = commit or (release.commit if release else acquire.head(Path(source).expanduser()))
    name = release.tag if release else commit[:12] if commit else f"copy-{digest[:8]}"
    if (home / name / RECORD).is_file():
        return recorded(home / name)
    record = {
        "format": 1,
        "release": release.tag if release else "",
        "like": release.tag if release else known.like,
        "between": "" if release else known.between or "",
        "commit": commit or "",
        "source": source,
        "sha256": digest,
    }
    (work / FILES).write_text(json.dumps(files, indent=0) + "\n", encoding="utf-8", newline="\n")
    (work / RECORD).write_text(toml_text.table(record), encoding="utf-8", newline="\n")
    if (home / name).exists():  # without a record: it was never complete
        folders.delete(home / name)
    work.replace(home / name)
    return recorded(home / name)


def _in(folder: Path) -> list[Checkout]:
    return [recorded(at.parent) for at in sorted(folder.glob(f"[!.]*/{RECORD}"))]  # the whole ones


def recorded(own: Path) -> Checkout:
    """Return what the record of a checkout of ours says, or of one of its copies."""
    record: dict[str, Any] = dict(toml_source.read(own / RECORD).values)
    return Checkout(
        own / SOURCES,
        own / SOURCES,
        "plain",
        record.get("release") or None,
        record.get("like") or releases.DEFAULT,
        record.get("commit") or None,
        secrets.masked(record.get("source", "")) or None,  # an earlier version kept tokens
        record.get("between") or None,
        tuple(sorted(record.get("patches", {}).items())),
    )
