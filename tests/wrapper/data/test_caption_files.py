from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from wrapper.data import caption_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures [new] ü"
    place.mkdir()
    for name in ("korra (1).png", "korra (2).jpg", "mako_01.webp"):
        (place / name).write_bytes(b"an image")
    (place / "korra (2).txt").write_text("my own words", "utf-8")
    return place


def test_captions_lie_beside_their_images_and_your_own_stay(folder: Path) -> None:
    planned = caption_files.plan(folder)
    caption_files.write(planned)
    assert {c.file.name: c.state for c in planned} == {
        "korra (1).txt": "new",
        "korra (2).txt": "kept",
        "mako_01.txt": "new",
    }
    assert (folder / "korra (1).txt").read_text("utf-8") == "korra"
    assert (folder / "korra (2).txt").read_text("utf-8") == "my own words"
    assert (folder / "mako_01.txt").read_text("utf-8") == "mako"
    assert all(f.read_bytes() == b"an image" for f in folder.iterdir() if f.suffix != ".txt")
    assert not list(folder.glob("*.part"))


def test_overwriting_is_asked_for_by_name(folder: Path) -> None:
    caption_files.write(caption_files.plan(folder, overwrite=True))
    assert (folder / "korra (2).txt").read_text("utf-8") == "korra"
    assert {c.state for c in caption_files.plan(folder, overwrite=True)} == {"same"}


def test_planning_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    caption_files.plan(folder, overwrite=True)
    assert sorted(folder.iterdir()) == before


def test_two_images_of_one_name_share_a_caption(tmp_path: Path) -> None:
    for suffix in (".png", ".jpg"):
        (tmp_path / f"a{suffix}").touch()
    assert [c.file.name for c in caption_files.plan(tmp_path)] == ["a.txt"]


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_no_images_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError):
        caption_files.plan(tmp_path / name)
