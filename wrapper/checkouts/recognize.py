"""Recognize a folder of sd-scripts by its files: where its scripts are, which release it is like.

A version string would not do: each Kohya GUI version pins a commit between two releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kohya_presets.errors import UserError
from kohya_presets.sdscripts import options, releases
from kohya_presets.sdscripts.scripts import TOOLS

Layout = Literal["plain", "gui-v22", "gui-v23"]

SIGNS = ("sdxl_train.py", "networks/extract_lora_from_models.py", "library/train_util.py")
GUI_SIGNS = ("kohya_gui.py", "kohya_gui", "gui.sh", "gui.bat")
_DECLARES = ("sdxl_train.py", "networks/*.py", "library/*.py")


@dataclass(frozen=True)
class Likeness:
    """`exact`: whose files these are. `like`: the newest release whose options are all here.

    `between` is the name of the commit between two releases whose files these are.
    """

    exact: tuple[str, ...]
    like: str
    between: str | None = None


def scripts_in(folder: Path) -> tuple[Path, Layout]:
    """Return where the scripts of `folder` are, and what kind of folder it is.

    Raises:
        UserError: it does not contain sd-scripts.
    """
    gui = any((folder / sign).exists() for sign in GUI_SIGNS)
    if _holds(folder):
        return folder, "gui-v22" if gui else "plain"
    if _holds(folder / "sd-scripts"):
        return folder / "sd-scripts", "gui-v23" if gui else "plain"
    if not folder.is_dir():
        raise UserError(f"the folder {folder} does not exist")
    lacks = [sign for sign in SIGNS if not (folder / sign).is_file()]
    hint = "Give the folder that contains sdxl_train.py, or the folder of a Kohya GUI."
    if gui:
        hint = "This Kohya GUI has no sd-scripts yet. Run the setup of the GUI first."
    raise UserError(
        f"{folder} does not contain sd-scripts: it has no {', no '.join(lacks)}", hint=hint
    )


def likeness(scripts: Path) -> Likeness:
    """Return which release `scripts` is, and which one its options are like."""
    found = {file: _fingerprint(scripts / file) for file in releases.IDENTIFYING}
    exact = tuple(r.tag for r in releases.every() if dict(r.fingerprints) == found)
    if exact:
        return Likeness(exact, exact[-1])
    between = next((b.name for b in releases.between() if dict(b.fingerprints) == found), None)
    return Likeness((), _newest_with_options(scripts), between)


def _holds(folder: Path) -> bool:
    return all((folder / sign).is_file() for sign in SIGNS)


def _fingerprint(file: Path) -> str:
    try:
        return releases.fingerprint(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def _newest_with_options(scripts: Path) -> str:
    """Return the newest release of which no option is missing from the text of `scripts`."""
    files = [file for pattern in _DECLARES for file in scripts.glob(pattern)]
    text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    declaring = ("sdxl_train.py", *TOOLS.values())
    known = [option for script in declaring for option in options.of(script).values()]
    missing = [releases.order(o.since) for o in known if f'"--{o.name}"' not in text]
    limit = min(missing, default=(999,))
    older = [tag for tag in releases.tags() if releases.order(tag) < limit]
    return older[-1] if older else releases.tags()[0]
