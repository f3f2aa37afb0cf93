"""The cache of measured pictures: what it keeps, and what it survives."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.dataset.picture import Pixels
from wrapper.data.reading import cache as caches
from wrapper.data.reading.cache import Cache
from wrapper.system import paths, proc

STAMP = (10, 20)


def kept(where: Path | None = None, name: str = "a.png") -> Pixels:
    with Cache(where) as cache:
        cache.keep(found := Pixels(Path(name), "00", sharpness=2.5), STAMP)
    return found


def known(stamp: tuple[int, int] = STAMP, where: Path | None = None, name: str = "a.png"):
    with Cache(where) as cache:
        return list(cache.known({Path(name): stamp}))


def test_what_was_kept_is_known_next_time() -> None:
    assert known() == []
    found = kept()
    assert known() == [found]
    assert known(name=str(Path("a.png").absolute())) == [
        Pixels(Path("a.png").absolute(), "00", sharpness=2.5)
    ]


@pytest.mark.parametrize("stamp", [(11, 20), (10, 21)])
def test_another_size_or_time_is_not_known(stamp: tuple[int, int]) -> None:
    kept()
    assert known(stamp) == []


def test_other_rules_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    kept()
    monkeypatch.setattr(caches, "RULES", caches.RULES + 1)
    assert known() == []


def test_it_lies_in_the_home_if_one_is_chosen_else_in_the_systems_cache(home: Path) -> None:
    kept()
    assert (home / "cache" / "pictures.sqlite").is_file()
    assert "kohya-presets" in str(paths.cache({}))
    assert paths.cache({}) != paths.home({})


def _garbage(where: Path) -> None:
    where.write_bytes(b"no database at all" * 1000)


def _hole(where: Path) -> None:
    data = bytearray(where.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    where.write_bytes(data)


def _other_table(where: Path) -> None:
    with sqlite3.connect(where) as base:
        base.execute("DROP TABLE pixels")
        base.execute("CREATE TABLE pixels (path TEXT PRIMARY KEY)")
    base.close()


def _no_table(where: Path) -> None:
    with sqlite3.connect(where) as base:
        base.execute("DROP TABLE pixels")
    base.close()


@pytest.mark.parametrize("damage", [_garbage, _hole, _other_table, _no_table])
def test_a_damaged_one_is_made_anew(damage: Callable[[Path], None], home: Path) -> None:
    kept()
    damage(caches.file())
    assert known() == []
    found = kept()
    assert known() == [found]


def test_a_row_that_is_no_json_is_read_again(home: Path) -> None:
    kept()
    with sqlite3.connect(caches.file()) as base:
        base.execute("UPDATE pixels SET data = '{\"sharpness\"'")
    base.close()
    assert known() == []


def test_without_a_place_all_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, no folder", "utf-8")
    where = tmp_path / "file" / "cache.sqlite"
    kept(where)
    assert known(where=where) == []
    assert (tmp_path / "file").read_text("utf-8") == "a file, no folder"


def test_a_folder_that_is_in_its_place_is_left_alone(tmp_path: Path) -> None:
    where = tmp_path / "cache.sqlite"
    where.mkdir()
    kept(where)
    assert known(where=where) == []
    assert where.is_dir()


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MOST", 3)
    files = [Path(f"{number}.png") for number in range(5)]
    with Cache() as cache:
        for file in files:
            cache.keep(Pixels(file, "00"), STAMP)
    with Cache() as cache:
        assert [p.file.name for p in cache.known(dict.fromkeys(files, STAMP))] == [
            *("2.png", "3.png", "4.png")
        ]


def test_many_files_are_asked_for_at_once() -> None:
    files = [Path(f"{number}.png") for number in range(1234)]
    with Cache() as cache:
        for file in files:
            cache.keep(Pixels(file, "00"), STAMP)
        assert len(list(cache.known(dict.fromkeys(files, STAMP)))) == 1234


WRITER = """
import sys
from pathlib import Path
from kohya_presets.dataset.picture import Pixels
from wrapper.data.reading.cache import Cache
with Cache(Path(sys.argv[1])) as cache:
    for number in range(400):
        cache.keep(Pixels(Path(f"/{sys.argv[2]}/{number}.png"), "00"), (1, 2))
        if number % 20 == 0:
            cache.save()
"""


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    where = tmp_path / "cache.sqlite"
    with ThreadPoolExecutor() as threads:
        argvs = [(sys.executable, "-c", WRITER, str(where), name) for name in "ab"]
        list(threads.map(proc.run, argvs))
    files = [Path(f"/{name}/{number}.png") for name in "ab" for number in range(400)]
    with Cache(where) as cache:
        assert len(list(cache.known(dict.fromkeys(files, (1, 2))))) == 800
