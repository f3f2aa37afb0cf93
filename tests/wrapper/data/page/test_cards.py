"""A card says what is trained of a caption, and shows what cannot be seen."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.wrapper.data.page import sets
from wrapper.data.page import cards
from wrapper.data.page.cards import Card


def card(folder: Path, caption: str, **how: bool) -> Card:
    sets.write(folder, {"one": caption})
    (made,) = cards.of(*sets.known(folder, **how))
    return made


def test_a_caption_is_split_where_its_trained_tokens_end(tmp_path: Path) -> None:
    found = card(tmp_path, "a" * 80)
    assert (found.kept, found.cut) == ("a" * 75, "a" * 5)
    assert (found.tokens, found.room) == (80, 75)


def test_of_a_short_one_nothing_is_cut(tmp_path: Path) -> None:
    found = card(tmp_path, "korra")
    assert (found.kept, found.cut, found.unread) == ("korra", "", "")


def test_lines_that_sd_scripts_does_not_read_are_told_apart(tmp_path: Path) -> None:
    found = card(tmp_path, "korra\nin a field\n\nat dusk\n")
    assert (found.kept, found.cut, found.unread) == ("korra", "", "in a field\nat dusk")


def test_an_endless_caption_is_shown_in_part(tmp_path: Path) -> None:
    found = card(tmp_path, "a" * 100_000)
    assert len(found.cut) < 2 * cards.LONGEST
    assert found.cut.endswith(f"{100_000 - 75 - cards.LONGEST} more characters\u203a")


def test_findings_stand_on_the_images_that_they_are_about(tmp_path: Path) -> None:
    first, second = sets.write(tmp_path, {"first": "korra\nmore", "second": "korra"})
    second.with_suffix(".txt").unlink()
    one, other = cards.of(*sets.known(tmp_path))
    assert "caption-lines" in {mark.code for mark in one.marks}
    assert "caption-missing" in {mark.code for mark in other.marks}
    assert "caption-lines" not in {mark.code for mark in other.marks}
    assert all(mark.todo for mark in one.marks if mark.severity == "warning")
    assert (one.name, other.name) == (first.name, second.name)


def test_the_same_picture_names_the_other(tmp_path: Path) -> None:
    files = sets.write(tmp_path, {"first": "a", "second": "b", "third": "c"})
    shutil.copy(files[0], files[2])
    one, other, same = cards.of(*sets.known(tmp_path, pixels=True))
    assert (one.alike, one.same) == (("third.png",), True)
    assert same.alike == ("first.png",)
    assert other.alike == ()


def test_a_broken_image_has_a_card_that_says_why(tmp_path: Path) -> None:
    (file,) = sets.write(tmp_path, {"one": "korra"})
    file.write_bytes(b"\x89PNG\r\n\x1a\nabc")
    (found,) = cards.of(*sets.known(tmp_path))
    assert found.fault
    assert found.bucket is None


def test_a_folder_is_called_by_no_more_than_it_needs(tmp_path: Path) -> None:
    places = [tmp_path / "a" / "images", tmp_path / "b" / "images", tmp_path / "b" / "others"]
    for place in places:
        sets.write(place, {"one": "korra"})
    made, _ = sets.known(*places)
    assert cards.folders(made) == ["a/images", "b/images", "others"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_a_name_in_another_encoding_can_be_shown(tmp_path: Path) -> None:
    (file,) = sets.write(tmp_path, {"one": "korra"})
    file.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")))
    (found,) = cards.of(*sets.known(tmp_path))
    assert found.name == "caf\u2039byte E9\u203a.png"
