"""The Kohya GUI's sources for tests, and what its own functions make of a file."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import toml

from kohya_presets.gui import meaning
from kohya_presets.gui.versions import fields, words
from kohya_presets.gui.versions.fields import Tab
from kohya_presets.sdscripts import releases
from tests import missing
from tests.sheets import ADDITIONS
from wrapper.checkouts import acquire
from wrapper.system import proc

REMOTE = "https://github.com/bmaltais/kohya_ss"
NEEDED = (
    *("/*.py", "/library/**", "/kohya_gui/**", "/kohya_gui_v2/**", "/presets/**"),
    *("/localizations/**", "/.release"),
)
REPLAY = Path(__file__).with_name("gui_replay.py")


class Printed(NamedTuple):
    """What the GUI would start: the words of a command, and the text of its config file."""

    words: list[str]
    toml: str

    @property
    def script(self) -> int:
        """Which of the words is sd-scripts' script."""
        ends = ("train.py", "train_network.py")
        return next(n for n, word in enumerate(self.words) if word.endswith(ends))


def get(version: str, into: Path) -> Path:
    """Return a folder with the sources of a tag or a commit, or skip the test with the reason."""
    folder = into / version
    if not folder.is_dir():
        revision = f"refs/tags/{version}" if version.startswith("v") else version
        _fetch(missing.KOHYA_GUI, REMOTE, revision, folder, NEEDED)
    return folder


def tree(tag: str, into: Path) -> Path:
    """Return what `get` does with the sd-scripts that the version pins, as a user has it."""
    gui = get(tag, into)
    scripts = gui / "sd-scripts"
    if not (scripts / "library").is_dir():
        if scripts.is_dir():
            scripts.rmdir()  # git made it for the submodule
        name = releases.of_gui(tag) or ""
        release = releases.get(name)
        pins = (b.commits[-1] for b in releases.between() if b.name == name)
        commit = release.commit if release else next(pins)
        _fetch(missing.SD_SCRIPTS, acquire.REMOTE, commit, scripts)
    return gui


def _fetch(
    source: str, remote: str, revision: str, into: Path, needed: Sequence[str] | None = None
) -> None:
    """Fill the folder `into`, which is there only once it is whole, or skip the test."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".getting-", dir=into.parent) as work:
        made = Path(work) / "sources"
        with missing.skipped_without(source):
            acquire.from_git(remote, revision, made, needed=needed)
        made.rename(into)


def replay(gui: Path, tab: Tab, file: Path, work: Path, **filled: str) -> dict[str, Any]:
    """Return the options of the command that `printed` returns.

    Those "script" and "mixed_precision" of the answer are what accelerate is told.
    """
    return effective(tab, printed(gui, tab, file, work, **filled))


def printed(gui: Path, tab: Tab, file: Path, work: Path, **filled: str) -> Printed:
    """Return what the GUI's own functions print for a saved file.

    `filled` are the fields that a person fills in.
    """
    screen = {name: field.default for name, field in tab.fields.items()}
    empty: dict[str, Any] = {"bool": False, "number": 0}
    shown = {
        name: empty.get(tab.fields[name].kind, "") if value is None else value
        for name, value in screen.items()
    }
    request = work / "request.json"
    request.write_text(json.dumps({"file": str(file), "screen": shown, "filled": filled}), "utf-8")
    done = proc.run([sys.executable, str(REPLAY), str(gui), tab.name, str(request)], cwd=work)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("REPLAY ")]
    said = json.loads(line.removeprefix("REPLAY "))
    assert said["words"], done.stdout
    return Printed(said["words"], said["toml"] or "")


def effective(tab: Tab, said: Printed) -> dict[str, Any]:
    """Return the options in effect: the command line's over those of the file."""
    line, at = said.words, said.script
    known = meaning.every(tab.script, ADDITIONS)
    given, lost = words.read([word for word in line[at + 1 :] if word], known)  # type: ignore[arg-type]
    given.pop("config_file", None)
    found = {**toml.loads(said.toml), **given, "script": Path(line[at]).name}
    strange = [text for text, _ in lost if text]
    assert not strange, f"sd-scripts would not know {strange}"
    if "--mixed_precision" in line[:at]:
        found["accelerate"] = line[line.index("--mixed_precision") + 1]
    return found


def tabs(tag: str) -> tuple[Tab, ...]:
    """Return both tabs of a version."""
    return tuple(fields.tab(name, tag) for name in ("finetune", "lora"))
