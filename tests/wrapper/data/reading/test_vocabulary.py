"""CLIP's vocabulary is taken from the nearest place that has it, and from no other text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from wrapper.data.reading import vocabulary

# As many pairs as CLIP's vocabulary has, made here: the real one is not in this repository.
MADE = "#version: 0.2\n" + "".join(f"a{n} b{n}\n" for n in range(vocabulary.tokens.MERGES))
ASKED = ("_from_hub_cache", "_from_hub", "_from_package")


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take `MADE` for CLIP's, ask nobody outside, and forget what another test was given."""
    merges = vocabulary.tokens.merges_of(MADE)
    monkeypatch.setattr(vocabulary, "_SHA256", vocabulary._digest(merges))
    for name in ASKED:
        monkeypatch.setattr(vocabulary, name, _nothing)
    vocabulary.tokenizer.cache_clear()
    yield
    vocabulary.tokenizer.cache_clear()


def _nothing() -> str:
    raise UserError("nobody answers")


def give(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setattr(vocabulary, name, lambda: text)


@pytest.mark.parametrize("name", ASKED)
def test_each_place_is_asked_and_the_answer_is_kept(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as once:
        give(once, name, MADE)
        first = vocabulary.tokenizer()
    assert (home / vocabulary.FILE).read_text("utf-8") == MADE
    vocabulary.tokenizer.cache_clear()
    assert vocabulary.tokenizer().merges == first.merges  # nobody answers now


def test_another_text_is_not_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, "_from_hub", MADE.replace("a7 b7", "a7 c7"))
    with pytest.raises(UserError, match="cannot get CLIP's vocabulary"):
        vocabulary.tokenizer()
    give(monkeypatch, "_from_package", MADE)
    assert len(vocabulary.tokenizer().merges) == vocabulary.tokens.MERGES


@pytest.mark.parametrize("damaged", [b"", b"#version: 0.2\na b\n", b"\xff\xfe", MADE[:-9].encode()])
def test_a_damaged_file_is_repaired(
    damaged: bytes, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / vocabulary.FILE).write_bytes(damaged)
    give(monkeypatch, "_from_package", MADE)
    assert len(vocabulary.tokenizer().merges) == vocabulary.tokens.MERGES
    assert (home / vocabulary.FILE).read_text("utf-8") == MADE


def test_a_home_that_cannot_be_written_does_not_stop(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("not a folder", "utf-8")
    give(monkeypatch, "_from_hub", MADE)
    assert len(vocabulary.tokenizer().merges) == vocabulary.tokens.MERGES


def test_without_it_a_person_is_told_what_is_left_out() -> None:
    with pytest.raises(UserError, match="nobody answers") as told:
        vocabulary.tokenizer()
    assert told.value.hint is not None
    assert "Tokens are not counted" in told.value.hint
