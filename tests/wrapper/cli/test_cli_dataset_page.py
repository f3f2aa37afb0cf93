"""`dataset page`, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from tests.wrapper.cli.test_cli import run
from tests.wrapper.data.page import sets
from wrapper.data.reading import vocabulary


@pytest.fixture(autouse=True)
def _letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Download no vocabulary: each letter is a token."""
    monkeypatch.setattr(vocabulary, "tokenizer", lambda **_: sets.LETTERS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sets.write(tmp_path / "korra", {"one": "korra\nnot read", "two": "a portrait"})
    return tmp_path / "korra"


def test_it_says_where_the_page_is(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = run("dataset", "page", folder, "--trigger", "korra", "--out", out)
    assert done.stdout == f"{out}\n"
    text = out.read_text("utf-8")
    assert "caption-lines" in text
    assert "trigger-missing" in text


def test_a_preset_and_what_is_ignored_count(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    size = ("--set", "dataset.resolution=512")
    run(
        "dataset",
        "page",
        "lion",
        "--data",
        folder,
        *size,
        "--ignore",
        "caption-lines",
        "--out",
        out,
    )
    text = out.read_text("utf-8")
    assert "caption-lines" not in text
    assert "bucket 512" in text


def test_a_page_that_is_there_is_refused_before_an_image_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out := tmp_path / "page.html").write_text("mine", "utf-8")
    monkeypatch.setattr("wrapper.data.checking.collection", None)
    with pytest.raises(UserError, match="already exists"):
        run("dataset", "page", folder, "--out", out)
    assert out.read_text("utf-8") == "mine"


def test_with_force_it_is_overwritten(folder: Path, tmp_path: Path) -> None:
    (out := tmp_path / "page.html").write_text("mine", "utf-8")
    assert run("dataset", "page", folder, "--out", out, "--force").exit_code == 0
    assert "<!doctype html>" in out.read_text("utf-8")


def test_a_caption_is_never_taken_for_a_page(folder: Path) -> None:
    caption = folder / "one.txt"
    with pytest.raises(UserError, match="must end in"):
        run("dataset", "page", folder, "--out", caption, "--force")
    assert caption.read_text("utf-8") == "korra\nnot read"
