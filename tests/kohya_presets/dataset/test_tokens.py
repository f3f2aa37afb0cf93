from __future__ import annotations

import pytest

from kohya_presets.dataset import tokens, weights
from kohya_presets.dataset.tokens import Tokenizer

# A vocabulary of a few pairs: the real one is compared in tests/upstream.
TINY = Tokenizer((("r", "a</w>"), ("o", "r"), ("k", "or"), ("kor", "ra</w>"), ("a", "</w>")))


def test_pairs_are_merged_in_the_order_of_the_list() -> None:
    assert TINY.pieces("korra") == ("korra</w>",)
    assert TINY.pieces("kora") == ("k", "o", "ra</w>")


def test_a_word_of_one_token_is_known() -> None:
    assert TINY.is_word("Korra")
    assert not TINY.is_word("naga")


def test_white_space_and_case_do_not_count() -> None:
    assert TINY.ids("  KORRA \t korra\n") == TINY.ids("korra korra")


def test_what_does_not_fit_is_told_from_a_words_beginning() -> None:
    found = tokens.counted(TINY, "korra korra korra, korra", 3)
    assert (found.tokens, found.lost) == (5, 2)
    assert found.rest == ", korra"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a (korra) b", ["a ", "korra", " b"]),
        ("(a:1.0) b", ["a b"]),
        (r"\(a\)", ["(a)"]),
        ("((a)", ["a"]),
        ("[a](b", ["a", "b"]),
        ("a:1.2) b", ["a:1.2) b"]),
        ("", []),
    ],
)
def test_weights_make_parts(text: str, parts: list[str]) -> None:
    assert [part.text for part in weights.parts(text)] == parts


def test_a_weight_that_is_no_number_is_told() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        weights.parts("(a:1.2.3)")


def test_another_text_is_no_vocabulary() -> None:
    with pytest.raises(ValueError, match="expected 48894 pairs"):
        tokens.merges_of("#version: 0.2\na b\n")
