"""Lines of prompts are read as sd-scripts does, and written so that they stay what they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.prompts import lines, made
from kohya_presets.prompts.lines import Prompt

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
CAPTIONS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join).filter(lambda t: made.plain(t))


@given(CAPTIONS, st.integers(0, 2**32), st.integers(64, 2048), st.none() | st.integers(1, 99))
def test_a_line_says_what_the_prompt_says(
    text: str, seed: int, side: int, steps: int | None
) -> None:
    prompt = Prompt(made.plain(text), "caption", seed, side, side, steps, 6.5)
    assert lines.of_line(prompt.line(), "caption") == prompt


@given(CAPTIONS)
def test_a_caption_of_any_letters_is_a_prompt_and_no_option_or_comment(text: str) -> None:
    line = Prompt(made.plain(text), seed=1).line()
    assert lines.is_read(line)
    assert [key for key, _ in lines.options(line)] == ["d"]


def test_a_caption_that_begins_like_an_option_is_none() -> None:
    for caption in ("n word, portrait", "w 512 wide", "SS euler"):
        assert not lines.OPTION.match(made.plain(caption))
        assert made.plain(caption).split() == caption.split()


def test_a_caption_without_words_makes_no_prompt() -> None:
    assert made.plain("{} ## -- ") == ""
    kinds = [prompt.kind for prompt in made.made(["{}", "--zkw woman", "\ufeffa cat"], None)]
    assert kinds.count("caption") == 4
    texts = [prompt.text for prompt in made.made(["--zkw woman"], None)]
    assert texts[0] == "zkw woman"


def test_a_trigger_and_a_negative_prompt_stay_on_their_line() -> None:
    wish = made.Wish(negative="bad --n\nworse")
    prompts = made.made(["a cat"], "korra (x) {a|b}\ny", None, wish)
    text = made.text(prompts, 1, "korra (x) {a|b}\ny")
    assert lines.of_text(text) == prompts
    assert any(prompt.text.startswith(r"korra \(x\) a|b y ") for prompt in prompts)


def test_brackets_braces_and_great_words_of_a_caption_lose_their_meaning() -> None:
    assert made.plain("# a {red|blue} cat (big:1.2) [x] BREAK a AND b --n no") == (
        r"a red|blue cat \(big:1.2\) \[x\] break a and b - n no"
    )


def test_values_are_taken_as_far_as_sd_scripts_takes_them() -> None:
    found = lines.of_line("a cat --l 7,5 --d 1,2 --w abc --H 64 --s 30")
    assert (found.scale, found.seed, found.width, found.height, found.steps) == (
        7.0,
        1,
        None,
        64,
        30,
    )


def test_a_file_keeps_kinds_under_their_headings() -> None:
    captions = [f"a photo of zkw woman, scene {n}" for n in range(5)]
    prompts = made.made(captions, "zkw woman", "woman")
    text = made.text(prompts, 5, "zkw woman")
    assert lines.of_text(text) == prompts
    assert lines.trigger_of(text) == "zkw woman"
    kinds = {prompt.kind for prompt in prompts}
    assert kinds == {"caption", "near", "trigger", "without", "generic"}


def test_lines_of_somebody_else_have_no_kind_and_no_trigger() -> None:
    text = "# my prompts\na cat\n\n#dog\n a dog --d 3\n"
    assert [(p.text, p.kind) for p in lines.of_text(text)] == [
        ("a cat", "other"),
        ("a dog", "other"),
    ]
    assert lines.trigger_of(text) is None
