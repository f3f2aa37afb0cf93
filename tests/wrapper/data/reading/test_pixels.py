"""Many pictures are read by workers, each once, and what is known is not read again."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from kohya_presets.dataset.picture import Pixels
from tests.wrapper.data import odd_pictures
from wrapper.data.reading import cache as caches
from wrapper.data.reading import measure, pixels
from wrapper.data.reading.cache import Cache
from wrapper.system import proc

COUNT = 60


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return odd_pictures.good(tmp_path_factory.mktemp("good"), COUNT)


def test_workers_say_the_same_as_one_process_does(good: list[Path]) -> None:
    found = {one.file: one for one in pixels.read(good, workers=2)}
    assert [found[file] for file in good] == measure.several(good)


def test_a_second_run_reads_nothing(good: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache() as cache:
        first = {one.file: one for one in pixels.read(good, cache, workers=1)}
    monkeypatch.setattr(measure, "one", None)
    with Cache() as cache:
        assert {one.file: one for one in pixels.read(good, cache)} == first


def test_a_touched_file_is_read_again_and_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = odd_pictures.good(tmp_path, 5)
    with Cache() as cache:
        list(pixels.read(files, cache))
    os.utime(files[2], ns=(1, 1))
    read = []
    one = measure.one
    monkeypatch.setattr(measure, "one", lambda file: read.append(file) or one(file))
    with Cache() as cache:
        assert len(list(pixels.read(files, cache))) == 5
    assert read == [files[2]]


def test_a_broken_file_is_remembered_but_not_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = odd_pictures.write(tmp_path, ["cut in half.png"])["cut in half.png"]
    files = [broken, tmp_path / "missing.png"]
    with Cache() as cache:
        assert all(one.fault for one in pixels.read(files, cache))
        known = list(cache.known(caches.stamps(files)))
    assert [one.file for one in known] == [broken]
    assert known[0].truncated


def test_progress_counts_what_is_known_and_what_is_read(good: list[Path]) -> None:
    told: list[tuple[int, int]] = []
    with Cache() as cache:
        list(pixels.read(good[:10], cache))
        list(pixels.read(good[:20], cache, on_progress=lambda *counts: told.append(counts)))
    assert told == [(number, 20) for number in range(1, 21)]


def test_a_file_that_is_named_twice_is_read_once(good: list[Path]) -> None:
    assert len(list(pixels.read([good[0], good[0]]))) == 1


def test_leaving_the_loop_early_keeps_what_was_yielded(good: list[Path]) -> None:
    with Cache() as cache:
        reading = pixels.read(good, cache, workers=2)
        some = [next(reading) for _ in range(10)]
        reading.close()
    with Cache() as cache:
        known = list(cache.known(caches.stamps(good)))
    assert len(known) == 10
    assert {one.file for one in known} == {one.file for one in some}


def test_killed_workers_are_replaced_and_nothing_is_lost(good: list[Path]) -> None:
    reading = pixels.read(good, workers=2)
    found = [next(reading)]
    for worker in _workers():
        worker.kill()
    found += list(reading)
    assert sorted(one.file for one in found) == sorted(good)
    assert not [one.fault for one in found if one.fault]


def _workers() -> list[psutil.Process]:
    """Return the processes that read: those without children of their own."""
    below = psutil.Process().children(recursive=True)
    return [p for p in below if not p.children() and "resource_tracker" not in str(p.cmdline())]


KILLS = """
import os, signal, sys
from pathlib import Path
from wrapper.data.reading import measure, pixels

def one(file):
    if file.name == "deadly.png":
        os.kill(os.getpid(), 9)
    return measured(file)

measured, measure.one = measure.one, one
if __name__ == "__main__":
    for found in pixels.read(sorted(Path(sys.argv[1]).iterdir()), workers=2):
        print(found.file.name, found.fault, sep="|")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_picture_that_kills_its_reader_gets_a_fault_and_the_others_none(tmp_path: Path) -> None:
    odd_pictures.good(tmp_path / "data", 30)
    (tmp_path / "data" / "deadly.png").write_bytes(b"any")
    script = tmp_path / "kills.py"
    script.write_text(KILLS, "utf-8")
    lines = proc.run([sys.executable, str(script), str(tmp_path / "data")]).stdout.splitlines()
    said = dict(line.split("|") for line in lines)
    assert len(said) == len(lines) == 31
    faults = {name: fault for name, fault in said.items() if fault != "None"}
    assert faults == {
        "deadly.png": "reading it stopped the process that read it (no memory?)",
    }


INTERRUPTED = """
import os, signal, sys, time
from pathlib import Path
from wrapper.data.reading import pixels
from wrapper.data.reading.cache import Cache

if __name__ == "__main__":
    read = 0
    try:
        with Cache(Path(sys.argv[2])) as cache:
            for found in pixels.read(sorted(Path(sys.argv[1]).iterdir()), cache, workers=2):
                read += 1
                if read == 20:
                    os.killpg(0, signal.SIGINT)  # as a terminal does: to the workers as well
                    time.sleep(5)
    except KeyboardInterrupt:
        print("interrupted", read)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a group")
def test_ctrl_c_keeps_what_is_done_and_leaves_no_worker(tmp_path: Path) -> None:
    files = odd_pictures.good(tmp_path / "data", 200)
    script, where = tmp_path / "interrupted.py", tmp_path / "cache.sqlite"
    script.write_text(INTERRUPTED, "utf-8")
    started = time.monotonic()
    argv = [sys.executable, "-c", GROUP, str(script), str(tmp_path / "data"), str(where)]
    done = proc.run(argv)
    assert done.stdout == "interrupted 20\n"
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 30
    with Cache(where) as cache:
        known = list(cache.known(caches.stamps(files)))
    assert len(known) >= 19  # all but the one that was being looked at
    left = [p for p in psutil.process_iter(["cmdline"]) if str(script) in str(p.info["cmdline"])]
    assert not left


# In a group of its own, so that the signal does not reach the tests.
GROUP = """
import os, runpy, sys
os.setsid()
sys.argv = sys.argv[1:]
os.execv(sys.executable, [sys.executable, *sys.argv])
"""


def test_pixels_are_read_from_spaces_and_other_letters(tmp_path: Path) -> None:
    files = odd_pictures.good(tmp_path / "a folder é 日本", 8)
    found: list[Pixels] = list(pixels.read(files, workers=2))
    assert not [one.fault for one in found if one.fault]
