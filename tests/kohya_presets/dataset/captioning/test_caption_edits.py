"""Edits change what sd-scripts reads of a caption file, and keep every other byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.dataset.captioning.edits import Edits, Trigger, Where, edited, with_trigger


def one(text: str | bytes, edits: Edits) -> bytes | str:
    """Return the new bytes, or why it is left alone."""
    data = text.encode("utf-8") if isinstance(text, str) else text
    found = edited(data, edits)
    return found.why if found.data is None else found.data


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a woman in armor", "a kncr woman in armor"),
        ("A Woman, smiling", "A kncr Woman, smiling"),
        ("a young woman and a man", "a young kncr woman and a man"),
        ("a man-made lake and a girl", "a man-made lake and a kncr girl"),
        ("women on a beach with a boy", "women on a beach with a kncr boy"),
        ("a woman's portrait", "a kncr woman's portrait"),
        ("(woman:1.2), snow", "(kncr woman:1.2), snow"),
        ("a woman, kncr outfit", "a woman, kncr outfit"),  # it has the token already
        ("a woman, KNCR outfit", "a woman, KNCR outfit"),  # CLIP knows no capitals
        ("a woman with kncrs", "a kncr woman with kncrs"),
    ],
)
def test_the_trigger_goes_before_the_first_word_for_a_person(before: str, after: str) -> None:
    assert with_trigger(before, Trigger("kncr")) == after


@pytest.mark.parametrize(
    ("nouns", "before", "after"),
    [
        # The guide's own examples: the token belongs to the outfit, or to the hairstyle.
        (("outfit",), "a woman wearing outfit", "a woman wearing kncr outfit"),
        (("hairstyle", "outfit"), "a woman with hairstyle", "a woman with kncr hairstyle"),
        (("artstyle",), "anime screencap in artstyle", "anime screencap in kncr artstyle"),
        (("dog", "car"), "a car in front of a dog", "a kncr car in front of a dog"),
        (("art style", "art"), "an art style", "an kncr art style"),
        (("女性",), "黒髪の女性が立つ", "黒髪のkncr 女性が立つ"),
        (("женщина",), "молодая Женщина", "молодая kncr Женщина"),
        (("c++",), "a c++ book", "a kncr c++ book"),
    ],
)
def test_a_noun_of_your_own_says_what_the_trigger_is_about(
    nouns: tuple[str, ...], before: str, after: str
) -> None:
    assert with_trigger(before, Trigger("kncr", nouns=nouns)) == after


@pytest.mark.parametrize(
    ("where", "before", "after"),
    [
        ("front", "a woman", "kncr, a woman"),
        ("end", "a woman", "a woman, kncr"),
        ("end", "A woman stands.", "A woman stands. kncr"),
        ("end", "a woman,", "a woman, kncr"),
    ],
)
def test_front_and_end_need_no_noun(where: Where, before: str, after: str) -> None:
    assert with_trigger(before, Trigger("kncr", where)) == after


KNCR = Edits(trigger=Trigger("kncr"))


@pytest.mark.parametrize(
    ("before", "edits", "after"),
    [
        ("a b a\n", Edits(replacements=(("a", "x"),)), b"x b x\n"),
        ("a b", Edits(replacements=(("a", "b"), ("b", "c"))), b"c c"),
        ("cat", Edits(replacements=(("dog", "x"),)), b"cat"),
        ("\ufeff a woman \r\nx\r\n", KNCR, b"\xef\xbb\xbf a kncr woman \r\nx\r\n"),
        ("a woman\rb\r", KNCR, b"a kncr woman\rb\r"),
        ("a woman\x0bb\u2028c\n", KNCR, "a kncr woman\x0bb\u2028c\n".encode()),
        ("in snow", Edits(prefix="photo of "), b"photo of in snow"),
        ("photo of snow", Edits(prefix="photo of "), b"photo of snow"),
        ("a\nb\n\nc", Edits(prefix="x "), b"x a\nb\n\nc"),
        ("a\nb\n\nc", Edits(prefix="x ", all_lines=True), b"x a\nx b\n\nx c"),
        ("\na\n", Edits(prefix="x ", all_lines=True), b"\nx a\n"),
        ("a\r\nb\r\n", Edits(first_line=True), b"a\r\n"),
        ("a", Edits(first_line=True), b"a"),
        ("\ufeffa\nb", Edits(first_line=True), b"\xef\xbb\xbfa\n"),
        (
            "cat woman\nz",
            Edits(True, (("cat", "old"),), Trigger("kncr"), "photo of "),
            b"photo of old kncr woman\n",
        ),
    ],
)
def test_an_edit_keeps_mark_line_ends_and_spaces(before: str, edits: Edits, after: bytes) -> None:
    assert one(before, edits) == after


@pytest.mark.parametrize(
    ("before", "edits", "why"),
    [
        (b"caf\xe9", Edits(prefix="x "), "not UTF-8"),
        ("a woman".encode("utf-16"), KNCR, "not UTF-8"),
        ("a cat", KNCR, "no noun was found in it (looked for a person)"),
        ("a cat", Edits(trigger=Trigger("t", nouns=("dog", "cow"))), "looked for dog, cow"),
        ("a cat", Edits(False, (("a", "b"),), Trigger("t")), "no noun"),  # nothing half done
        ("a woman\na cat", Edits(trigger=Trigger("t"), all_lines=True), "no noun"),
        ("", Edits(prefix="x "), "empty"),
        ("\ufeff", Edits(prefix="x "), "empty"),
        (" \n\t\n", Edits(first_line=True), "empty"),
        ("\na woman\n", KNCR, "first line is empty"),
        ("\n a woman", Edits(first_line=True), "the caption would be lost"),
        ("snow", Edits(replacements=(("snow", " "),)), "would become empty"),
    ],
)
def test_what_cannot_be_edited_is_left_alone_as_a_whole(
    before: str | bytes, edits: Edits, why: str
) -> None:
    said = one(before, edits)
    assert isinstance(said, str)
    assert why in said


@given(st.text(alphabet="ab \n\r\x0c\ufeff\u2028ü東", max_size=20), st.booleans())
def test_an_edit_that_finds_nothing_changes_no_byte(text: str, all_lines: bool) -> None:
    data = text.encode("utf-8")
    found = edited(data, Edits(replacements=(("zz", "x"),), all_lines=all_lines))
    assert found.data in (None, data)


@given(st.text(max_size=20), st.sampled_from(["before-noun", "front", "end"]), st.booleans())
def test_trigger_and_prefix_twice_are_once(text: str, where: Where, all_lines: bool) -> None:
    """So an action that was killed can be called again for the other captions."""
    edits = Edits(trigger=Trigger("kncr", where), prefix="photo: ", all_lines=all_lines)
    once = edited(f"a girl {text}".encode(), edits).data
    if once is not None:
        assert edited(once, edits).data == once
