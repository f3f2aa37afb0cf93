"""The Kohya GUI's sources for tests, and what its own functions make of a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import toml

from kohya_presets.errors import UserError
from kohya_presets.gui import fields, meaning, words
from kohya_presets.gui.fields import Tab
from wrapper import acquire, proc

REMOTE = "https://github.com/bmaltais/kohya_ss"
NEEDED = ("/*.py", "/library/**", "/kohya_gui/**", "/presets/**", "/localizations/**", "/.release")
REPLAY = Path(__file__).with_name("gui_replay.py")


def get(tag: str, into: Path) -> Path:
    """Return a folder with the sources of a version, or skip the test with the reason."""
    folder = into / tag
    if not folder.is_dir():
        try:
            acquire.from_git(REMOTE, f"refs/tags/{tag}", folder, needed=NEEDED)
        except UserError as error:
            pytest.skip(f"the Kohya GUI cannot be had: {error}")
    return folder


def replay(gui: Path, tab: Tab, file: Path, work: Path, **filled: str) -> dict[str, Any]:
    """Return the options of the command that the GUI's own functions print for a saved file.

    `filled` are the fields a person fills in; those "script" and "mixed_precision" of the answer
    are what accelerate is told.
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
    return _options(tab, said)


def _options(tab: Tab, said: dict[str, Any]) -> dict[str, Any]:
    """Return the options in effect: the command line's over those of the file."""
    line = said["words"]
    at = next(
        n
        for n, word in enumerate(line)
        if word.endswith("train.py") or word.endswith("train_network.py")
    )
    known = meaning.every(tab.script)
    given, lost = words.read([word for word in line[at + 1 :] if word], known)  # type: ignore[arg-type]
    given.pop("config_file", None)
    found = {**toml.loads(said["toml"] or ""), **given, "script": Path(line[at]).name}
    strange = [text for text, _ in lost if text]
    assert not strange, f"sd-scripts would not know {strange}"
    if "--mixed_precision" in line[:at]:
        found["accelerate"] = line[line.index("--mixed_precision") + 1]
    return found


def tabs(tag: str) -> tuple[Tab, ...]:
    """Return both tabs of a version."""
    return tuple(fields.tab(name, tag) for name in ("finetune", "lora"))
