"""Write kohya_presets/gui/facts.json: what every version of the Kohya GUI saves and sends.

python -m tools.gui.make [FOLDER...]

Each folder holds the sources of the tag it is named after. Without one, all are fetched.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kohya_presets.gui.versions import fields
from kohya_presets.sdscripts import releases
from tools import make_releases
from tools.gui import read_gui, read_gui_command, read_gui_config, read_gui_network, rules
from tools.make_options import GUI
from tools.make_releases import FIRST_GUI
from wrapper.checkouts import acquire
from wrapper.system import proc

NEEDED = ("/*_gui.py", "/kohya_gui/*.py", "/library/*_gui.py", "/library/class_*.py", "/.release")

PARTS = ("fields", "options", "networks", "ways", *read_gui.MODELS)

Facts = dict[str, Any]


def main() -> None:
    """Write the facts of every tag."""
    with tempfile.TemporaryDirectory() as work:
        text = written(gathered([*map(Path, sys.argv[1:])] or fetched(Path(work))))
    file = fields.FACTS
    beside = file.with_name(f"{file.name}.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(file)


def fetched(into: Path) -> list[Path]:
    """Return folders with the sources of every tag, got now."""
    listed = proc.run(["git", "ls-remote", "--tags", "--refs", GUI]).stdout.split()
    tags = [ref.removeprefix("refs/tags/") for ref in listed if ref.startswith("refs/tags/v")]
    for tag in (tags := [tag for tag in tags if make_releases.order(tag) >= FIRST_GUI]):
        acquire.from_git(GUI, f"refs/tags/{tag}", into / tag, needed=NEEDED)
    return [into / tag for tag in tags]


def gathered(folders: Sequence[Path]) -> Facts:
    """Return the facts: of each tab and each tag, what differs from the tag before."""
    ordered = sorted(folders, key=lambda folder: releases.order(folder.name))
    every = {folder.name: everything(read_gui.Gui(folder)) for folder in ordered}
    facts: Facts = {
        "fingerprints": {folder.name: fingerprint(folder) for folder in ordered},
        "extra_first": [tag for tag, (_, first) in every.items() if first],
    }
    for tab in read_gui.TABS:
        told: Facts = {}
        was: dict[str, Facts] = {part: {} for part in PARTS}
        for tag, (tabs, _) in every.items():
            now = tabs[tab]
            found = {part: changes(was[part], now[part]) for part in was}
            told[tag] = {part: change for part, change in found.items() if change}
            was = now
        facts[tab] = told
    return facts


def everything(gui: read_gui.Gui) -> tuple[dict[str, dict[str, Facts]], bool]:
    """Return the facts of both tabs of one version, and where its free text goes."""
    tabs: dict[str, dict[str, Facts]] = {}
    for tab in read_gui.TABS:
        ways = {
            "left out": read_gui_config.drops(gui.tabs[tab]["train_model"]),
            "whole": read_gui_config.whole_numbers(gui.functions["update_my_data"]),
        }
        tabs[tab] = {
            "fields": dict(read_gui.fields(gui, tab)),
            "options": dict(rules.rules(gui, tab)),
            "networks": read_gui_network.networks(gui) if tab == "lora" else {},
            "ways": ways,
            **{model: rules.differing(gui, tab, model) for model in read_gui.MODELS},
        }
    return tabs, read_gui_command.extra_first(gui)


def fingerprint(folder: Path) -> str:
    """Return what tells a version by its finetune tab's text."""
    files = [folder / "kohya_gui" / "finetune_gui.py", folder / "finetune_gui.py"]
    file = next(file for file in files if file.is_file())
    return releases.fingerprint(file.read_text(encoding="utf-8"))


def changes(was: Facts, now: Facts) -> Facts:
    """Return what `now` has that `was` has not, whole; None for what it has no more."""
    found = {name: fact for name, fact in now.items() if was.get(name) != fact}
    return {**found, **{name: None for name in was if name not in now}}


def written(facts: Facts) -> str:
    """Return the file: one line for each fact that changes."""
    lines = ["{"]
    for part in ("fingerprints", "extra_first"):
        lines.append(f'"{part}": {json.dumps(facts[part])},')
    for tab in read_gui.TABS:
        lines.append(f'"{tab}": {{')
        tags = [f"{json.dumps(tag)}: {_tag(told)}" for tag, told in facts[tab].items()]
        lines.append(",\n".join(tags))
        lines.append("}" if tab == read_gui.TABS[-1] else "},")
    return "\n".join([*lines, "}", ""])


def _tag(told: Facts) -> str:
    parts = [f"{json.dumps(part)}: {{\n{_lines(facts)}\n}}" for part, facts in told.items()]
    return "{" + ",\n".join(parts) + "}"


def _lines(facts: Facts) -> str:
    return ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in facts.items())


if __name__ == "__main__":
    main()
