"""The values of a picture, and what a name or a beginning promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kohya_presets.dataset import picture
from kohya_presets.dataset.picture import Header, Pixels


@pytest.mark.parametrize(
    ("name", "promised"),
    [("a.JPG", "JPEG"), ("a.b.png", "PNG"), ("a.jxl", "JXL"), ("a", None), ("a.txt", None)],
)
def test_the_ending_promises_a_format(name: str, promised: str | None) -> None:
    assert picture.promised(Path(name)) == promised


@pytest.mark.parametrize(
    ("beginning", "form"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "WEBP"),
        (b"RIFF\x01\x02\x03\x04WAVEfmt ", None),
        (b"\0\0\0\x1cftypheic", "HEIF"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x1cftypisom", None),
        (b"", None),
    ],
)
def test_a_beginning_tells_the_format(beginning: bytes, form: str | None) -> None:
    assert picture.recognized(beginning) == form


@pytest.mark.parametrize(("orientation", "size"), [(1, (3, 2)), (4, (3, 2)), (6, (2, 3))])
def test_orientations_of_5_and_more_swap_the_sides(orientation: int, size: tuple[int, int]) -> None:
    header = Header(Path("a.jpg"), 1, 1, width=3, height=2, orientation=orientation)
    assert header.size == (3, 2)
    assert header.upright_size == size


def test_a_name_without_a_promise_is_not_wrong() -> None:
    assert not Header(Path("a"), 1, 1, "JPEG", None).misnamed
    assert not Header(Path("a.png"), 1, 1, None, "PNG").misnamed
    assert Header(Path("a.png"), 1, 1, "JPEG", "PNG").misnamed


def test_pixels_go_through_json_and_come_back() -> None:
    pixels = Pixels(Path("a.png"), "00", "f" * 16, sharpness=1.5, fault=None)
    assert Pixels(Path("a.png"), **json.loads(json.dumps(pixels.as_dict()))) == pixels
