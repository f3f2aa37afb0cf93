"""Files that the GUI's next version saves, by its own functions, through our import."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kohya_presets.gui import next_format, read, toml_read
from kohya_presets.gui.imported import Imported
from tests.sheets import ADDITIONS
from tests.upstream import gui_sources
from wrapper.system import proc

BRANCH = "ebc1942f304f03874280f6e16a694b586ec54261"  # feat/gui-v2-foundation, July 2026
SAVE = Path(__file__).with_name("gui_next_save.py")
# The widgets of both versions mean the same by these; others are saved with other defaults.
SAME = ("network_module", "network_dim", "optimizer_type", "learning_rate", "mixed_precision")
pytestmark = [pytest.mark.upstream]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    gui = gui_sources.get(BRANCH, tmp_path_factory.mktemp("gui"))
    done = proc.run([sys.executable, str(SAVE), str(gui), str(tmp_path_factory.mktemp("saved"))])
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("SAVED ")]
    told = json.loads(line.removeprefix("SAVED "))
    return {Path(before): Path(after) for before, after in told.items()}


def test_what_the_next_version_saves_means_what_the_preset_meant(saved: dict[Path, Path]) -> None:
    marked = 0
    for before, after in saved.items():
        found = toml_read.toml_file(after, "x", ADDITIONS)
        if "next version" not in found.read_as:
            continue  # SD 1.5 without a network of its own: it is a config like any other
        marked += 1
        if before.parent.name == "dreambooth":
            assert found.preset.script == "sd3_train.py"
            continue
        was = read.json_file(before.read_bytes(), "x", ADDITIONS)
        assert found.usable().script == was.preset.script, before
        for key in SAME:
            assert found.preset.train.get(key) == was.preset.train.get(key), (before, key)
        for key in ("resolution", "batch_size"):
            assert found.preset.dataset.get(key) == was.preset.dataset.get(key), (before, key)
        assert unknown(found) == [], before
    assert marked >= 30


def unknown(found: Imported) -> list[str]:
    dropped = [str(item) for item in found.report if item.kind == "dropped"]
    return [line for line in dropped if "not an option" in line or "expected" in line]


def test_the_scripts_are_those_of_its_tabs(tmp_path: Path) -> None:
    gui = gui_sources.get(BRANCH, tmp_path)
    seen = 0
    for file in (gui / "kohya_gui_v2" / "tabs").glob("*_tab.py"):
        names: dict[str, dict[str, str]] = {}
        text = file.read_text("utf-8")
        start = text.index("ARCHITECTURE_SCRIPTS = {")
        exec(text[start : text.index("}", start) + 1], names)  # a table of strings
        tab = file.stem.removesuffix("_tab")
        for model, script in names["ARCHITECTURE_SCRIPTS"].items():
            marks = {"architecture": model, "training_type": tab}
            assert next_format.script(marks) == script, (tab, model)
            seen += 1
    assert seen >= 20
