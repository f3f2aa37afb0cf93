"""The page is text whatever names and captions say, and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kohya_presets.pages import page as pages
from kohya_presets.pages.shown import visible
from tests.wrapper.data.page import sets
from wrapper.data.page import html, writing

CSS = pages.base_style() + (Path(html.__file__).parent / "page.css").read_text("utf-8")
EMPTY = {"meta", "img", "input", "link", "br", "hr"}


class Read(HTMLParser):
    """The elements of a page, and the text inside of each kind that is asked for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "an element is left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            names = (dict(attrs).get("class") or "").split()
            self._open.append(".".join([tag, *names[:1]]))
            self.texts.setdefault(self._open[-1], []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().split(".")[0] == tag

    def handle_data(self, data: str) -> None:
        for name in set(self._open):
            self.texts[name][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("set")
    sets.hostile(folder)
    out = folder.parent / "page.html"
    notes = ["tokens: <script>alert(1)</script>"]
    writing.write(*sets.known(folder), out, notes=notes)
    return out.read_text("utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Read:
    return Read(text)


def test_names_and_captions_are_shown_letter_by_letter(page: Read) -> None:
    names = [visible(f"{name}.png") for name in sets.NAMES.values()]
    assert sorted(page.texts["h2"]) == sorted(names)
    captions = [visible(caption) for caption in sets.HOSTILE.values()]
    assert sorted(page.texts["p.caption"]) == sorted(captions)


def test_nothing_of_theirs_becomes_an_element(page: Read) -> None:
    assert len(page.all("script")) == 2
    assert len(page.all("style")) == 1
    assert len(page.all("title")) == 1
    assert [image["src"] for image in page.all("img") if "webp" not in str(image["src"])] == []
    assert len(page.all("img")) == len(sets.HOSTILE)
    every = [name for _, attributes in page.elements for name in attributes]
    assert [name for name in every if name.startswith("on") or name == "style"] == []


def test_no_sign_that_cannot_be_seen_is_in_it(text: str) -> None:
    unseen = "\u202e\u2066\u2069\u2028\u2029\u0085\x1b\x07"
    assert [sign for sign in unseen if sign in text] == []


def test_nothing_is_asked_for(page: Read, text: str) -> None:
    wanted = {str(a.get(k)) for _, a in page.elements for k in ("src", "href") if a.get(k)}
    assert {one.split(",")[0] for one in wanted} == {"data:image/webp;base64"}
    assert page.all("link") == []
    assert "@import" not in CSS
    assert "url(" not in CSS
    assert not re.search(r"https?://", text)


def test_the_policy_lets_in_this_style_and_script_alone(page: Read) -> None:
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv"))
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for rule, content in (
        ("script-src", page.texts["script"][1]),
        ("style-src", page.texts["style"][0]),
    ):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_the_scripts_data_are_the_cards(page: Read) -> None:
    data = json.loads(page.texts["script"][0])
    names = [visible(f"{name}.png") for name in sets.NAMES.values()]
    assert sorted(one["name"] for one in data) == sorted(names)
    assert all(one["pixels"] in range(64 * 64, 64 * 128 + 1) for one in data)
    assert all(one["tokens"] > 0 for one in data)


@pytest.mark.parametrize("text", [*sets.HOSTILE.values(), "]]>", "\ud800", "<!--", "&quot;"])
def test_json_in_a_script_ends_nothing_and_is_read_back(text: str) -> None:
    written = pages.as_json({"text": text})
    assert not set(written) & set("<>&\u2028\u2029\u202e\x1b")
    assert json.loads(written) == {"text": text}


def test_what_is_cut_off_is_marked(tmp_path: Path) -> None:
    sets.write(tmp_path / "set", {"one": "k" * 75 + "rest", "two": "short\nunread"})
    writing.write(*sets.known(tmp_path / "set"), tmp_path / "page.html")
    cut = Read((tmp_path / "page.html").read_text("utf-8")).texts["span.cut"]
    assert cut[1:] == ["cut off: rest", "lines that are not read: unread"]


def test_each_finding_says_what_and_what_to_do(tmp_path: Path) -> None:
    sets.write(tmp_path / "set", {"one": "korra\nunread", "two": "korra, a second one"})
    writing.write(*sets.known(tmp_path / "set"), tmp_path / "page.html")
    page = Read((tmp_path / "page.html").read_text("utf-8"))
    (row,) = (row for row in page.texts["li.row"] if "caption-lines" in row)
    assert "warning 1 image whose caption has further lines" in " ".join(row.split())
    assert "sd-scripts: It reads the first line only." in row
    assert "What to do: Write captions in one line" in row
    (marks,) = (marks for marks in page.texts["details.marks"] if "caption-lines" in marks)
    assert "a caption has further lines. Write captions in one line" in marks


def test_many_groups_of_the_same_picture_are_one_row(tmp_path: Path) -> None:
    files = sets.write(tmp_path / "set", dict.fromkeys("abcdef", "korra"))
    for number in range(3):
        shutil.copy(files[number], files[number + 3])
    writing.write(*sets.known(tmp_path / "set", pixels=True), tmp_path / "page.html")
    rows = Read((tmp_path / "page.html").read_text("utf-8")).texts["li.row"]
    (row,) = (row for row in rows if "duplicate" in row)
    assert "6 images that are the same file, in 3 groups" in row


def test_the_same_in_several_folders_is_one_row(tmp_path: Path) -> None:
    for name in ("one", "two"):
        sets.write(tmp_path / name, {name: "korra\nunread"})
    writing.write(*sets.known(tmp_path / "one", tmp_path / "two"), tmp_path / "page.html")
    page = Read((tmp_path / "page.html").read_text("utf-8"))
    (row,) = (row for row in page.texts["li.row"] if "caption-lines" in row)
    assert "2 images whose caption has further lines, in 2 folders" in row
    assert {"one", "two"} <= set(page.texts["option"])  # of the folder
