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


@given(st.text(min_size=1, max_size=30).map(str.strip).filter(bool), st.integers(0, 2000))
def test_a_name_made_of_a_caption_reads_as_that_caption_again(caption: str, number: int) -> None:
    assert captions.from_name(captions.to_name(caption, number)) == caption


def test_only_a_caption_that_ends_like_a_counter_gets_one_where_it_is_alone() -> None:
    assert captions.to_name("korra in the snow") == "korra in the snow"
    assert captions.to_name("korra in the snow", 3) == "korra in the snow (3)"
    assert captions.to_name("apollo 11") == "apollo 11 (1)"
