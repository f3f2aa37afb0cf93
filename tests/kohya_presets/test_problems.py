"""Problems are told once each, however many settings have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.problems import Place, Problem, Severity, counts, misspelled, paragraphs

FILE = Path("a.toml")


def at(line: int, key: str, message: str, hint: str | None = None) -> Problem:
    return Problem("given-twice", "warning", Place(FILE, line, key), message, hint)


def twice(line: int, key: str) -> Problem:
    message = f"{key} is also set on line {line - 1}; sd-scripts uses the last one"
    return at(line, key, message, "Delete one of the two.")


def test_the_same_problem_of_many_settings_is_one_with_all_their_names() -> None:
    found = [twice(line, f"option_{line}") for line in range(40, 0, -1)]
    (told,) = paragraphs(found)
    assert told.startswith("warning: a.toml:1: option_1: option_1 is also set on line 0;")
    assert "\n  also: option_2 (line 2), option_3 (line 3)," in told
    assert told.endswith("option_13 (line 13) and 27 more")
    assert counts(found) == "1 warning"


def test_at_many_places_of_one_setting_three_are_named() -> None:
    found = [twice(line, "seed") for line in range(1, 9)]
    (told,) = paragraphs(found)
    assert told.endswith("also: line 2, line 3, line 4 and 4 more")


def test_what_differs_in_more_than_the_name_is_told_apart() -> None:
    found = [at(1, "a", "a is 1"), at(2, "b", "b is 1"), at(3, "c", "c is 2")]
    assert len(paragraphs(found)) == 2


@pytest.mark.parametrize(("severity", "told"), [("error", 2), ("warning", 1)])
def test_what_to_do_about_an_error_is_told_of_each(severity: Severity, told: int) -> None:
    found = [
        Problem("unknown-option", severity, Place(FILE, 1, key), f"unknown option {key!r}", hint)
        for key, hint in (("epochs", "Use max_train_epochs."), ("steps", "Use max_train_steps."))
    ]
    assert len(paragraphs(found)) == told


def test_a_name_within_a_longer_word_is_not_the_settings_name() -> None:
    found = [at(1, "vae", "vae needs vae_batch"), at(2, "ae", "ae needs vae_batch")]
    assert len(paragraphs(found)) == 1
    found = [at(1, "vae", "vae needs vae_batch"), at(2, "ae", "ae needs ae_batch")]
    assert len(paragraphs(found)) == 2


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lerning_rate", "learning_rate"),
        ("learning_raet", "learning_rate"),
        ("Learning_Rate", "learning_rate"),
        ("outputdir", "output_dir"),
        ("vea", "vae"),
        ("sdp", "sdpa"),
        ("ae", None),
        ("vae_dir", None),
        ("learning_rate_decay", None),
        ("log_tracker_config_dir", None),
    ],
)
def test_a_word_is_misspelled_by_a_letter_or_two(word: str, meant: str | None) -> None:
    known = ("learning_rate", "output_dir", "vae", "sdpa", "log_tracker_config", "clip_skip")
    assert misspelled(word, known) == meant
