"""What sd-scripts makes of a file of prompts in silence is said before."""

from __future__ import annotations

import pytest

from kohya_presets.prompts import checks

GOOD = b"# mine\na cat --w 1024 --h 1024 --d 1 --s 28 --l 7.5 --n dogs\n"


def codes(data: bytes, release: str = "v0.10.1") -> list[str]:
    return [problem.code for problem in checks.of_bytes(data, release)]


@pytest.mark.parametrize(
    ("data", "release", "code"),
    [
        ("Zoë".encode("latin-1"), "v0.10.1", "prompts-encoding"),
        (b"\xef\xbb\xbf" + GOOD, "v0.10.1", "prompts-mark"),
        (b"# none\n\n", "v0.10.1", "prompts-none"),
        (b" # mine\n" + GOOD, "v0.10.1", "prompt-comment"),
        (b"--w 1024 --h 1024\n", "v0.10.1", "prompt-empty"),
        (b"a cat --w 1024 --h 1024 --steps 3\n", "v0.10.1", "prompt-option"),
        (b"a cat --w 1024 --h 1024 --g 3\n", "v0.9.1", "prompt-option"),
        (b"a cat --w 1024 --h 1024 --am 0.5\n", "v0.10.1", "prompt-option"),
        (b"a cat --w 1024 --h 1024 --ss euler\n", "v0.7.0", "prompt-option"),
        (b"a cat --w 1024 --h 1024 --d -1\n", "v0.10.1", "prompt-value"),
        (b"a cat --w 1024 --h 1024 --l 7,5\n", "v0.10.1", "prompt-value"),
        (b"a cat --w 1024 --h 1024 --s 0\n", "v0.10.1", "prompt-value"),
        (b"a cat --w 1024 --h 1024 --l 7.5.1\n", "v0.10.1", "prompt-value"),
        (b"a cat --w 1024 --h 1024 --n\n", "v0.10.1", "prompt-value"),
        (b"n word --w 1024 --h 1024\n", "v0.10.1", "prompt-text"),
        (b"a cat --w 1000 --h 1020\n", "v0.10.1", "prompt-size"),
        (b"a cat --d 1\n", "v0.10.1", "prompt-size"),
    ],
)
def test_each_thing_that_is_left_out_or_changed_in_silence_is_said(
    data: bytes, release: str, code: str
) -> None:
    assert codes(data, release) == [code]
    assert code in checks.CODES


@pytest.mark.parametrize(
    ("data", "release"),
    [
        (GOOD, "v0.10.1"),
        (GOOD.replace(b"\n", b"\r\n"), "v0.7.0"),
        (b"a cat --w 1024 --h 1024 --g 3\n", "v0.10.1"),
        (b"a cat --n ugly  --w 1024 --h 1024\n", "v0.10.1"),
        (b"ss euler --w 1024 --h 1024\n", "v0.7.0"),
        (b"a cat --w 1024 --h 1024 --am 0.5,1\n", "v0.11.1"),
        (b"a cat --W 64 --H 64 --D 7 --ss euler_a\n", "v0.7.1"),
    ],
)
def test_a_sound_file_has_no_problems(data: bytes, release: str) -> None:
    assert codes(data, release) == []


def test_a_line_is_named_by_its_number() -> None:
    (problem,) = checks.of_bytes(b"# mine\n\na cat --d 1\n", "v0.10.1")
    assert problem.where.line == 3
