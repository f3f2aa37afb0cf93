"""Images are looked into before a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.files import image_folder
from wrapper.data import images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("good.png", "bad.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
        (tmp_path / name).with_suffix(".txt").write_text(name, "utf-8")
    return tmp_path


def test_images_are_no_problem(folder: Path) -> None:
    assert list(images.problems(image_folder.scan(folder))) == []


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nabc", b"<html>"])
def test_what_is_called_an_image_and_is_none_is_named(content: bytes, folder: Path) -> None:
    (folder / "bad.png").write_bytes(content)
    (problem,) = images.problems(image_folder.scan(folder))
    assert (problem.code, problem.severity) == ("image-broken", "error")
    assert problem.message == "1 image that cannot be read: bad.png"


def test_so_is_one_that_is_too_large_to_be_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # an error from twice as many on
    assert [p.code for p in images.problems(image_folder.scan(folder))] == ["image-broken"]
