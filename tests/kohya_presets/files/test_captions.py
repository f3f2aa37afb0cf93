from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.files import captions


@pytest.mark.parametrize(
    ("stem", "caption"),
    [
        ("korra smiling (12)", "korra smiling"),
        ("korra smiling(12)", "korra smiling"),
        ("korra smiling_012", "korra smiling"),
        ("korra smiling 12", "korra smiling"),
        ("korra smiling", "korra smiling"),
        ("korra (legend) (3)", "korra (legend)"),
        ("korra (2) (3)", "korra (2)"),
        ("korra_avatar state_7", "korra_avatar state"),
        ("a city in 2049", "a city in 2049"),
        ("portrait 1920x1080", "portrait 1920x1080"),
        ("rank-12", "rank-12"),
        ("12", "12"),
        ("(12)", "(12)"),
        (" 東京 (4) ", "東京"),
        ("", ""),
    ],
)
def test_a_trailing_counter_is_no_part_of_the_caption(stem: str, caption: str) -> None:
    assert captions.from_name(stem) == caption


@given(st.text(max_size=30))
def test_a_name_never_becomes_an_empty_caption(stem: str) -> None:
    assert bool(captions.from_name(stem)) == bool(stem.strip())
