"""The static reader of parsers: on small sources anywhere, on the real ones where they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets import options
from tools import make_options
from tools.read_parser import Found, Unreadable
from tools.read_parser import options as read
from wrapper.checkout import Checkout

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
COUNTS = {
    "v0.7.1": [132, 143, 13, 8],
    "v0.8.7": [159, 170, 16, 9],
    "v0.10.1": [176, 196, 16, 9],
    "v0.11.1": [178, 198, 16, 10],
}


def write(folder: Path, train: str = TRAIN) -> Path:
    (folder / "library").mkdir(parents=True)
    (folder / "sdxl_train.py").write_text(train, "utf-8")
    (folder / "library/train_util.py").write_text("\ufeff" + BASIC, "utf-8")
    (folder / "library/more.py").write_text(MORE, "utf-8")
    return folder


def test_calls_are_followed_into_other_modules(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a"), "sdxl_train.py") == [
        Found("flag", "bool", (), None),
        Found("width", "int", (), 8),
        Found("rates", "floats", (), None),
        Found("kind", "str", ("a", "b"), "a"),
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


def test_the_first_release_of_an_option_is_kept() -> None:
    merged = make_options.merged(
        [("v1", {"a": {"type": "int"}}), ("v2", {"a": {"type": "float"}, "b": {"type": "int"}})]
    )
    assert merged == {
        "a": {"type": "float", "since": "v1"},
        "b": {"type": "int", "since": "v2"},
    }


@pytest.mark.upstream
@pytest.mark.parametrize("release", COUNTS)
def test_the_facts_are_those_of_the_real_sources(
    release: str, upstream: Callable[[str], Checkout]
) -> None:
    scripts = upstream(release).scripts
    facts = json.loads(options.FACTS.read_text("utf-8"))
    assert [len(read(scripts, script)) for script in make_options.SCRIPTS] == COUNTS[release]
    for script in make_options.SCRIPTS:
        assert {option.name for option in read(scripts, script)} <= facts[script].keys()
    assert make_options.dataset(scripts).keys() <= facts["dataset"].keys()
