"""Pages are written all or none, over nothing, and stay small."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from tests.wrapper.data.page import sets
from tests.wrapper.data.page.test_html import Read
from wrapper.data.page import thumbnails, writing
from wrapper.data.page.thumbnails import Made, Wanted

WANTED = 15_000_000  # bytes of a page of 1,000 images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sets.write(tmp_path / "set", {f"{n:02}": f"korra {n}" for n in range(12)})
    (tmp_path / "set" / "11.txt").write_text("korra\nnot read", "utf-8")
    return tmp_path / "set"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST", 5)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in folder.iterdir()}


@pytest.mark.usefixtures("small")
def test_many_images_make_several_pages_that_lead_to_each_other(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a page #1%.html"
    written = writing.write(*sets.known(folder), out)
    assert [f.name for f in written] == [
        "a page #1%.html",
        "a page #1%-2.html",
        "a page #1%-3.html",
    ]
    pages = [Read(file.read_text("utf-8")) for file in written]
    assert [len(page.all("img")) for page in pages] == [4, 4, 4]
    names = [name for page in pages for name in page.texts["h2"]]
    assert names == [f"{n:02}.png" for n in range(12)]
    links = {str(link["href"]) for link in pages[1].all("a") if "finding" not in str(link["href"])}
    assert links == {"./a%20page%20%231%25.html", "./a%20page%20%231%25-3.html"}
    found = {str(link["href"]) for link in pages[0].all("a")}
    assert "./a%20page%20%231%25-3.html#finding=caption-lines" in found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("there", ["page.html", "page-3.html"])
def test_a_page_that_is_there_stays(there: str, folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / there).write_text("mine", "utf-8")
    with pytest.raises(UserError, match="already exists"):
        writing.write(*sets.known(folder), made / "page.html")
    assert {f.name: f.read_text("utf-8") for f in made.iterdir()} == {there: "mine"}
    writing.write(*sets.known(folder), made / "page.html", force=True)
    assert sorted(f.name for f in made.iterdir()) == ["page-2.html", "page-3.html", "page.html"]


@pytest.mark.parametrize("name", ["11.txt", "11.png", "page", ".html"])
def test_what_is_called_otherwise_is_no_page(name: str, folder: Path) -> None:
    before = files(folder)
    with pytest.raises(UserError, match="must end in"):
        writing.write(*sets.known(folder), folder / name, force=True)
    assert files(folder) == before


def test_images_and_captions_stay_as_they_are(folder: Path, tmp_path: Path) -> None:
    before = files(folder)
    writing.write(*sets.known(folder), tmp_path / "page.html")
    assert files(folder) == before


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_stopped_in_the_middle_nothing_is_written(
    error: type[BaseException], folder: Path, tmp_path: Path
) -> None:
    def stop(what: str, done: int, count: int) -> None:
        if done == 7:
            raise error

    (made := tmp_path / "made").mkdir()
    with pytest.raises(error):
        writing.write(*sets.known(folder), made / "page.html", on_progress=stop)
    assert list(made.iterdir()) == []


def test_progress_counts_the_images_of_all_pages(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST", 5)
    told: list[tuple[str, int, int]] = []
    writing.write(
        *sets.known(folder), tmp_path / "page.html", on_progress=lambda *said: told.append(said)
    )
    assert told == [("thumbnails", n, 12) for n in range(1, 13)]


def test_a_folder_that_does_not_exist_yet_is_made(folder: Path, tmp_path: Path) -> None:
    assert writing.write(*sets.known(folder), tmp_path / "new" / "page.html")[0].is_file()


def test_a_set_without_images_has_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    writing.write(*sets.known(tmp_path / "set"), tmp_path / "page.html")
    page = Read((tmp_path / "page.html").read_text("utf-8"))
    assert page.all("img") == []
    assert any("nothing-to-train" in row for row in page.texts["li.row"])


def test_a_thousand_images_are_less_than_15_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thumbnail as large as it may be: that it is no larger, test_thumbnails shows."""
    (folder := tmp_path / "set").mkdir()
    sets.write(folder, {"0000": ""})
    for number in range(1000):
        file = folder / f"{number:04}.png"
        if number:
            os.link(folder / "0000.png", file)
        file.with_suffix(".txt").write_text("<a & b>" * (1 + number * 77 % 150), "utf-8")
    largest: list[int] = []

    def make(wanted: Sequence[Wanted], **_: object) -> list[Made]:
        largest.extend(one.most for one in wanted)
        return [Made(one.number, b"\xff" * one.most, (320, 320)) for one in wanted]

    monkeypatch.setattr(thumbnails, "make", make)
    (out,) = writing.write(*sets.known(folder), tmp_path / "page.html")
    assert len(largest) == 1000
    assert min(largest) > 8000  # enough for a picture: see facts of WebP at 320 pixels
    assert 0.9 * WANTED < out.stat().st_size < WANTED
