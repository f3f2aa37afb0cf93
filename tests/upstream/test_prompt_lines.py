"""A line of prompts asks sd-scripts for what we say that it asks for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from kohya_presets.prompts import lines, made
from kohya_presets.prompts.checks import LETTERS
from kohya_presets.sdscripts import options
from tests.upstream import asking
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
]
RELEASES = usually(["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"], ["v0.10.1"])
READ = """
try:
    from library.sampling import line_to_prompt_dict
except ImportError:
    from library.train_util import line_to_prompt_dict
tell([line_to_prompt_dict(line) for line in json.loads(sys.argv[1])])
"""
NAMES = {"seed": "seed", "width": "width", "height": "height", "steps": "sample_steps"}
PLAIN = {**NAMES, "scale": "scale", "negative": "negative_prompt"}
LINES = (
    "a cat --w 1024 --h 768 --d 1 --s 28 --l 7.5 --n dogs, birds",
    "a cat --W 64 --H 64 --D 7",
    "a cat --l 7,5 --d 1,2 --w abc",
    "a cat --d -1 --l . --steps 3",
    r"a \(red\) cat, 1:2 [x] --n a -- b --h 64",
    *(one.line() for one in made.made([f"a photo of zkw, {n} (x)" for n in range(4)], "zkw")),
)


@pytest.mark.parametrize("release", RELEASES)
def test_lines_are_read_as_the_trainer_reads_them(
    release: str, upstream: Callable[[str], Checkout]
) -> None:
    told = asking.ask(upstream(release), READ, json.dumps(LINES))
    for line, found in zip(LINES, told, strict=True):
        ours = lines.of_line(line)
        assert found["prompt"] == ours.text
        assert {name: found.get(key) for name, key in PLAIN.items()} == {
            name: getattr(ours, name) for name in PLAIN
        }, line


@pytest.mark.parametrize("release", RELEASES)
def test_the_options_of_a_line_are_those_of_the_release(
    release: str, upstream: Callable[[str], Checkout]
) -> None:
    letters = [*LETTERS, "q"]
    told = asking.ask(upstream(release), READ, json.dumps([f"a cat --{key} 1" for key in letters]))
    known = {key for key, found in zip(letters, told, strict=True) if len(found) > 1}
    assert known == {k for k, one in LETTERS.items() if options.is_in(release, one.releases)}
