from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kohya_presets.dataset import caption, trained
from kohya_presets.dataset.subsets import Subset
from kohya_presets.training.settings import Settings
from tests.kohya_presets.dataset.odd_captions import CAPTIONS


def read(name: str, *, wildcard: bool = False) -> caption.Caption:
    return caption.of_bytes(Path("a.txt"), CAPTIONS[name], wildcard=wildcard)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("two old mac lines", "korra"),
        ("first line blank", ""),
        ("spaces around", "korra, smiling"),
        ("byte-order mark", "\ufeffkorra, smiling"),
        ("vertical tab", "korra\x0bsmiling"),
        ("unicode line end", "korra\u2028smiling"),
    ],
)
def test_the_first_line_is_read(name: str, text: str) -> None:
    assert read(name).text == text


def test_lines_that_are_not_read_are_told() -> None:
    assert read("first line blank").unread == ("korra, smiling",)
    assert read("blank lines between").unread == ("smiling",)
    assert read("two lines", wildcard=True).unread == ()


def test_what_stops_the_trainer_is_told() -> None:
    assert [read(name).fault for name in ("empty", "utf-16", "plain")] == ["empty", "encoding", ""]


def subset(**dataset: Any) -> Subset:
    return Subset(Settings({"dataset": dataset, "train": {}}), Path("images"))


def test_prefix_suffix_and_separators_are_trained() -> None:
    assert trained.text("korra", subset(caption_prefix="p", caption_suffix="s")) == "p korra s"
    assert trained.text("", subset(caption_prefix="p")) == "p "
    made = subset(secondary_separator=";;;", caption_separator=",")
    assert trained.text("a;;;b", made) == "a,b"


def test_a_face_has_its_pictures_caption() -> None:
    own, face = caption.candidates(Path("korra_1_20_30_40.png"), ".txt")
    assert (own.name, face.name) == ("korra_1_20_30_40.txt", "korra.txt")
    own, face = caption.candidates(Path("korra_1_2_3.png"), ".txt")
    assert own == face
