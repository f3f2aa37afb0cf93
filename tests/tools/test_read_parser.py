"""The static reader of parsers: on small sources anywhere, on the real ones where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.read_parser import Declared, Unreadable
from tools.read_parser import options as read

TRAIN = """\
import argparse
from library import train_util
from library.more import add_more

STEPS = 3

def setup_parser():
    \"\"\"All of it.\"\"\"
    parser = argparse.ArgumentParser()
    train_util.add_basic(parser, True)
    add_more(parser)
    parser.add_argument("--kind", type=str, default="a", choices=[None, "a", "b"])
    return parser
"""
BASIC = """\
from library.more import add_more
def add_basic(parser, wide, deep=False):
    parser.add_argument("--flag", "-f", action="store_true", help="x")
    if wide:
        parser.add_argument("--width", type=int, default=8)
    if deep:
        parser.add_argument("--depth", type=int)
"""
MORE = """\
def add_more(parser):
    def rate(text):
        return float(text)
    parser.add_argument("--rates", type=float, nargs="*", default=None)
"""


def write(folder: Path, train: str = TRAIN) -> Path:
    (folder / "library").mkdir(parents=True)
    (folder / "sdxl_train.py").write_text(train, "utf-8")
    (folder / "library/train_util.py").write_text("\ufeff" + BASIC, "utf-8")
    (folder / "library/more.py").write_text(MORE, "utf-8")
    return folder


def test_calls_are_followed_into_other_modules(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a"), "sdxl_train.py") == [
        Declared("flag", action="store_true"),
        Declared("width", "int", default=8),
        Declared("rates", "float", nargs="*"),
        Declared("kind", "str", (None, "a", "b"), "a"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "for name in names: parser.add_argument(name)",
        "if STEPS > 2: parser.add_argument('--x')",
        "parser.add_argument('--x', **more)",
        "parser.add_argument('--x', type=complex)",
        "elsewhere.add(parser)",
    ],
)
def test_what_cannot_be_read_is_an_error_and_not_a_gap(line: str, tmp_path: Path) -> None:
    source = TRAIN.replace("    return parser", f"    {line}\n    return parser")
    with pytest.raises(Unreadable):
        read(write(tmp_path / "a", source), "sdxl_train.py")
