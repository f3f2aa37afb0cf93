"""A set of prompts shows what the guide looks for: copies, the trigger, leaks, generic things."""

from __future__ import annotations

import pytest

from kohya_presets.prompts import made
from kohya_presets.prompts.made import Wish

CAPTIONS = [f"a photo of zkw woman, scene {number}" for number in range(9)]


@pytest.mark.parametrize(
    ("captions", "trigger"),
    [
        (CAPTIONS, "zkw woman"),
        ([*CAPTIONS, "a lamp"], "zkw woman"),  # 9 of 10
        ([*CAPTIONS[:4], "a lamp"], None),
        (["a cat", "a dog"], None),
        (["a photo of a cat", "a photo of a dog"], None),
        (["one alone"], None),
        (["zkw woman, red hair", "zkw woman, red hair"], "zkw woman"),
        (["Zoë (smiling), red", "Zoë (sad), blue"], "Zoë"),
    ],
)
def test_the_words_of_nearly_every_caption_are_taken_for_the_trigger(
    captions: list[str], trigger: str | None
) -> None:
    assert made.trigger_of(captions) == trigger


def test_each_scene_with_the_trigger_has_its_twin_without_it_from_the_same_noise() -> None:
    prompts = made.made(CAPTIONS, "zkw woman", "woman")
    with_it = [p for p in prompts if p.kind == "trigger"]
    without = [p for p in prompts if p.kind == "without"]
    assert [p.text.replace("zkw woman", "woman") for p in with_it] == [p.text for p in without]
    assert [p.seed for p in with_it] == [p.seed for p in without]


def test_without_a_noun_the_scene_is_left_alone() -> None:
    texts = [p.text for p in made.made(CAPTIONS, "zkw", None) if p.kind == "without"]
    assert texts[0] == "a beach at sunset"
    assert not any("zkw" in text for text in texts)


def test_captions_are_taken_from_all_over_the_set_word_for_word() -> None:
    texts = {p.text for p in made.made(CAPTIONS, None) if p.kind == "caption"}
    assert {CAPTIONS[0], CAPTIONS[-1]} < texts < set(CAPTIONS)


def test_without_a_trigger_nothing_is_asked_of_one() -> None:
    kinds = {p.kind for p in made.made(CAPTIONS, None)}
    assert kinds == {"caption", "near", "generic"}


def test_generic_prompts_come_in_batches_of_four() -> None:
    generic = [p for p in made.made(CAPTIONS, None) if p.kind == "generic"]
    for text in {p.text for p in generic}:
        assert len({p.seed for p in generic if p.text == text}) == 4


def test_pictures_are_as_large_as_the_images_that_are_trained() -> None:
    assert made.of_size({"resolution": [768, 1344]}) == Wish(768, 1344)
    assert made.of_size({}) == Wish(1024, 1024)
    assert {(p.width, p.height) for p in made.few(CAPTIONS, "zkw", Wish(64, 96))} == {(64, 96)}
