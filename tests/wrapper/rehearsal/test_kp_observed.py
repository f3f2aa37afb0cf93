"""A script that is observed: what it used is written down, and it is itself none the wiser."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from wrapper.rehearsal import adapt
from wrapper.system import proc

# As sd-scripts is built: the script, the library with its dataset, options read twice.
LIBRARY = """\
class BaseDataset:
    def process_caption(self, subset, caption):
        return f"prefixed {caption}"
def load_image(image_path, alpha=False):
    return image_path
"""
SCRIPT = """\
import argparse, sys
from library import train_util
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, default=1.0)
parser.add_argument("--steps", type=int)
parser.add_argument("--config_file")
args = parser.parse_args()
config = argparse.Namespace(rate=0.5, unknown=3)
args = parser.parse_args(namespace=config)
args.steps = 7
print(sys.argv[1:], train_util.load_image("a.png", alpha=True))
print(train_util.BaseDataset().process_caption(None, "a disc"), sys.path[0])
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "__init__.py").touch()
    (tmp_path / "library" / "train_util.py").write_text(LIBRARY, "utf-8")
    file = tmp_path / "train ü.py"
    file.write_text(SCRIPT, "utf-8")
    return file


def observed(script: Path, *words: str, code: int = 0) -> tuple[str, dict[str, Any]]:
    into = script.parent / "observed"
    front = adapt.in_front(into, standin=True)
    done = proc.run([sys.executable, *front, script, *words], check=False)
    assert done.returncode == code, done.stderr
    return done.stdout, json.loads((into / f"{script.stem}.json").read_text("utf-8"))


def test_options_in_effect_and_what_was_read_are_written_down(script: Path) -> None:
    said, seen = observed(script, "--config_file=x.toml")
    assert seen == {
        "options": {"rate": 0.5, "steps": 7, "config_file": "x.toml"},
        "images": ["a.png"],
        "captions": ["a disc"],
    }
    assert said.splitlines() == [
        "['--config_file=x.toml'] a.png",
        f"prefixed a disc {script.parent}",
    ]


def test_a_loader_of_another_module_is_watched_too(script: Path) -> None:
    """v0.11.1 has it in library.utils, and its dataset imports it from there."""
    (script.parent / "library" / "utils.py").write_text(LIBRARY, "utf-8")
    (script.parent / "library" / "dataset.py").write_text(
        "from library.utils import BaseDataset, load_image\nload = lambda x: load_image(x)\n",
        "utf-8",
    )
    (script.parent / "library" / "train_util.py").write_text(
        "from library.dataset import BaseDataset, load, load_image as load_image\n", "utf-8"
    )
    script.write_text(
        SCRIPT.replace('train_util.load_image("a.png", alpha=True)', 'train_util.load("b.png")'),
        "utf-8",
    )
    _, seen = observed(script)
    assert (seen["images"], seen["captions"]) == (["b.png"], ["a disc"])


def test_a_script_that_fails_fails_as_before_and_leaves_what_it_used(script: Path) -> None:
    script.write_text(f"{SCRIPT}\nsys.exit(3)\n", "utf-8")
    _, seen = observed(script, code=3)
    assert seen["options"]["rate"] == 0.5


def test_what_a_library_lacks_is_not_known(script: Path) -> None:
    (script.parent / "library" / "train_util.py").write_text(
        LIBRARY.replace("process_caption", "other").replace("load_image", "load"), "utf-8"
    )
    script.write_text(SCRIPT.split("print")[0], "utf-8")
    _, seen = observed(script)
    assert (seen["images"], seen["captions"]) == (None, None)
