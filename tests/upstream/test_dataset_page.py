"""A dataset's page in a real browser: filtered, sorted, used by the keyboard, printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import UPSTREAM_HOME
from tests.upstream import gui_browser, own_environment
from tests.wrapper.data.page import sets
from wrapper.data.page import writing
from wrapper.system import proc

DRIVER = Path(__file__).with_name("sheet_page.py")
PACKAGES = ("playwright",)

pytestmark = [pytest.mark.upstream, pytest.mark.xdist_group("upstream")]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what is seen of a page with hostile names and captions; pictures of it are kept."""
    chromium = gui_browser.chromium()
    python = own_environment.python(UPSTREAM_HOME / "browser" / "environment", PACKAGES)
    folder = tmp_path_factory.mktemp("set")
    sets.hostile(folder)
    captions = {f"image {n}": "k" * (n + 1) for n in (1, 2, 10)}
    captions["image 2"] += "\nnot read"
    sets.write(folder, captions, ending=".jpg")
    out = folder.parent / "a page.html"
    writing.write(*sets.known(folder, pixels=True), out)
    pictures = UPSTREAM_HOME / "browser" / "page"  # kept, to be looked at
    pictures.mkdir(parents=True, exist_ok=True)
    done = proc.run([python, DRIVER, chromium, out.as_uri(), pictures])
    found: dict[str, Any] = json.loads(done.stdout)
    found["pdf"] = (pictures / "page.pdf").read_bytes()
    return found


@pytest.fixture(params=["desktop", "phone"])
def seen(request: pytest.FixtureRequest, told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told[request.param]
    return found


MINE = ["image 1.jpg", "image 2.jpg", "image 10.jpg"]


def mine(names: list[str]) -> list[str]:
    return [name for name in names if name in MINE]


def test_nothing_runs_that_is_not_ours_and_no_request_leaves(seen: dict[str, Any]) -> None:
    assert seen["title"] == f"{seen['title'].split(':')[0]}: 12 images"
    assert [url for url in seen["asked"] if not url.startswith(("file:", "data:image/webp"))] == []
    assert seen["let out"] == []
    assert [said for said in seen["wrong"] if "Content Security Policy" not in said] == []


def test_it_fits_the_width(seen: dict[str, Any]) -> None:
    assert not seen["too wide"]


def test_pictures_are_shown_whole(seen: dict[str, Any]) -> None:
    assert seen["cut off"] == seen["cut off, enlarged"] == 0


def test_filters_show_what_they_say(seen: dict[str, Any]) -> None:
    assert len(seen["at first"]) == len(seen["after reset"]) == 12
    assert seen["finding caption-lines"] == ["image 2.jpg"]
    having, lacking = seen["finding +"], seen["finding -"]
    assert "image 2.jpg" in having
    assert sorted([*having, *lacking]) == sorted(seen["at first"])
    buckets = [names for key, names in seen.items() if re.match(r"bucket \d", key)]
    assert len(buckets) > 1
    assert sorted(name for names in buckets for name in names) == sorted(seen["at first"])


def test_it_is_sorted_by_what_is_chosen(seen: dict[str, Any]) -> None:
    assert mine(seen["sort name"]) == MINE  # as a person counts, not by letters
    assert mine(seen["sort tokens"]) == MINE[::-1]
    assert seen["sort findings"][0] == "image 2.jpg"
    assert seen["sort pixels"] != seen["at first"]
    assert seen["reversed"][-1] == "image 2.jpg"
    assert seen["after reset"] == seen["at first"]


def test_it_is_used_by_the_keyboard(seen: dict[str, Any]) -> None:
    every = seen["at first"]
    assert seen["search"] == [name for name in every if name in ("image 1.jpg", "image 10.jpg")]
    assert seen["count"] == "2 of 12 images"
    assert seen["search left"] == every
    first, *moves = seen["focus"]
    start = every.index(first)
    assert moves[:3] == [every[start + 1], every[start + 2], every[start + 1]]
    assert moves[3] != moves[2]
    assert moves[4:] == [every[start + 1], every[-1], every[0]]
    assert seen["focus is seen"] == "solid"
    assert seen["enlarged"] == [every[0], every[1], every[2], every[1]]
    assert seen["closed"]
    assert seen["focus after"] == every[1]


def test_it_is_printed(told: dict[str, Any]) -> None:
    count = len(re.findall(rb"/Type\s*/Page\b", told["pdf"]))
    assert 1 <= count <= 4
    assert len(re.findall(rb"/Subtype\s*/Image\b", told["pdf"])) >= 8
