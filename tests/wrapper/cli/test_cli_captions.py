"""`captions` from the command line: what it shows, what it writes, what it refuses."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image, PngImagePlugin

from tests.wrapper.cli.test_cli import run, typed
from tests.wrapper.data.captions.folders import held, made, undo_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    captions = {"IMG_1": b"a woman in armor\r\nold", "IMG_2": b"a cat", "IMG_3": b"caf\xe9"}
    return made(tmp_path / "set ü", captions)


KNCR = ("--trigger", "kncr", "--first-line")
DIFF = "IMG_1.txt\n- a woman in armor\n- old\n+ a kncr woman in armor\n"


def test_a_dry_run_shows_the_diff_and_writes_nothing(folder: Path, home: Path) -> None:
    before = held(folder)
    result = run("captions", folder, *KNCR, "--dry-run")
    assert result.stdout == DIFF
    assert result.stderr.splitlines() == [
        "left as it is: IMG_2.txt: no noun was found in it (looked for a person)",
        "left as it is: IMG_3.txt: it is not UTF-8",
        "would change 1 caption; 0 already right; 2 left",
    ]
    assert held(folder) == before
    assert not home.exists()


def test_an_edit_shows_the_same_diff_and_how_it_is_undone(folder: Path) -> None:
    before = held(folder)
    result = run("captions", folder, *KNCR)
    assert result.stdout == DIFF
    assert (folder / "IMG_1.txt").read_bytes() == b"a kncr woman in armor\r\n"
    told = re.search(r'captions --undo "(.*)"', result.stderr)
    assert told
    assert Path(told[1]) == undo_files()[0]
    result = run("captions", "--undo", told[1], "--dry-run")
    assert (result.stdout, result.stderr) == ("IMG_1.txt\n", "would put back 1 file\n")
    assert held(folder) != before
    assert run("captions", "--undo", told[1]).stderr == "put back 1 file\n"
    assert held(folder) == before


@pytest.mark.parametrize(
    ("words", "caption"),
    [
        (("--replace", "woman", "femme", "--replace", "a ", "one "), "one femme in armor"),
        (("--prefix", "photo of "), "photo of a woman in armor"),
        (("--trigger", "kncr", "--noun", "armor"), "a woman in kncr armor"),
        (("--trigger", "kncr", "--where", "end"), "a woman in armor, kncr"),
        (("--trigger", "kncr", "--where", "front"), "kncr, a woman in armor"),
    ],
)
def test_each_edit(words: tuple[str, ...], caption: str, folder: Path) -> None:
    result = run("captions", folder, *words)
    assert (folder / "IMG_1.txt").read_bytes() == f"{caption}\r\nold".encode()
    assert ("diluted" in result.stderr) == ("front" in words)


def test_renaming_shows_both_names(folder: Path) -> None:
    before = held(folder)
    shown = "- IMG_1.png\n+ a woman in armor.png\n- IMG_1.txt\n+ a woman in armor.txt\n"
    assert run("captions", folder, "--to-names", "--dry-run").stdout.startswith(shown)
    assert held(folder) == before
    result = run("captions", folder, "--to-names")
    assert result.stdout.startswith(shown)
    assert "renamed 4 files; 0 already right; 1 left" in result.stderr
    run("captions", "--undo", undo_files()[0])
    assert held(folder) == before


def test_overwriting_shows_what_goes_and_can_be_undone(folder: Path) -> None:
    before = held(folder)
    result = run("captions", folder, "--overwrite")
    assert "overwritten  IMG_3.txt: IMG\n  - caf\\xe9\n  + IMG\n" in result.stdout
    run("captions", "--undo", undo_files()[0])
    assert held(folder) == before


def test_what_images_hold_never_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07a \u202ewoman\x1b[2J\x9b31m"
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("parameters", hostile)
    folder = tmp_path / "set"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a\x1b[31m.png", pnginfo=chunks)
    (folder / "b\x1b[31m.png").touch()
    (folder / "b\x1b[31m.txt").write_text(hostile, "utf-8")
    for words in (
        ("--from", "metadata"),
        ("--prefix", "x "),
        ("--overwrite",),
        ("--to-names",),
    ):
        result = typed("captions", folder, *words)
        assert result.returncode == 0, result.stderr
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.stdout + result.stderr)
    undone = typed("captions", "--undo", undo_files()[-1])
    assert "\x1b" not in undone.stdout + undone.stderr
    (folder / "b\x1b[31m.txt").write_text("changed", "utf-8")
    refused = typed("captions", "--undo", undo_files()[-2])
    assert refused.returncode == 1
    assert "\x1b[31m" not in refused.stderr


def test_a_caption_from_metadata_is_told_with_its_source(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("parameters", "a woman\nSteps: 20, Seed: 1")
    folder = tmp_path / "set"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png", pnginfo=chunks)
    (folder / "a_te_outputs.npz").touch()
    result = run("captions", folder, "--from", "metadata")
    assert result.stdout == "new          a.txt: a woman  (A1111 parameters)\n"
    assert (folder / "a.txt").read_bytes() == b"a woman"
    assert "delete *_te_outputs.npz in the folder before you train" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument 'DIR'"),
        (("set", "--undo", "x.json"), "--undo takes no DIR"),
        (("set", "--prefix", "x", "--to-names"), "cannot be combined"),
        (("set", "--prefix", "x", "--from", "names"), "cannot be combined"),
        (("--undo", "x.json", "--prefix", "x"), "cannot be combined"),
        (("set", "--prefix", "x", "--overwrite"), "--overwrite is for captions from names"),
        (("set", "--noun", "dog"), "--noun needs --trigger"),
        (("set", "--where", "end"), "--where needs --trigger"),
        (("set", "--all-lines"), "--all-lines needs --replace or --trigger or --prefix"),
        (("set", "--masks", "x"), "--masks needs --to-names"),
        (("set", "--prefix", "a\nb"), "control character"),
        (("set", "--replace", "", "b"), "--replace needs a text to look for"),
        (("set", "--trigger", ""), "not empty"),
        (("set", "--trigger", "x", "--noun", " dog"), "without spaces around it"),
        (("set", "--extension", "txt"), "must start with a dot"),
        (("set", "--extension", "./x"), "must start with a dot"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    folder = made(tmp_path / "set", {"a": b"a woman"})
    before = held(folder)
    os.chdir(tmp_path)
    result = typed("captions", *words)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert held(folder) == before


SLOW = """
import os, sys, time
def slow(real):
    def function(*args):
        time.sleep(0.004)
        real(*args)
        time.sleep(0.004)
    return function
os.replace, os.rename = slow(os.replace), slow(os.rename)
from wrapper.cli import main
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("words", [("--prefix", "photo of "), ("--to-names",)])
@pytest.mark.parametrize("changed", [1, 12, 30])
def test_a_process_that_is_killed_leaves_each_file_old_or_new(
    words: tuple[str, ...], changed: int, tmp_path: Path
) -> None:
    """By SIGKILL, then again while it undoes; a second undo puts back what is left."""
    folder = made(tmp_path / "set", {f"{n:03}": f"a woman {n}x".encode() for n in range(40)})
    before = held(folder)

    def killed(*args: str | Path, until: int) -> int:
        """Kill the command once `until` files are not what they were when it began."""
        start = held(folder)
        child = psutil.Popen([sys.executable, "-c", SLOW, "captions", *map(str, args)])
        limit = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < limit:
            if changed_files(start) >= until:
                child.kill()
        return int(child.wait())

    def changed_files(start: dict[str, bytes]) -> int:
        """Count files under new names, and captions with other bytes."""
        names = [file.name for file in folder.iterdir() if not file.name.endswith(".part")]
        count = sum(name not in start for name in names)
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it is just being renamed
                count += name in start and (folder / name).read_bytes() != start[name]
        return count

    assert killed(folder, *words, until=changed) == -9
    now = held(folder)
    assert now != before
    whole = [name for name in now if not name.endswith(".part")]
    assert len(whole) == len(before)
    for name in whole:
        data = now[name].removeprefix(b"photo of ")
        assert data in before.values()
    (undo_file,) = undo_files()
    killed("--undo", undo_file, until=max(1, changed // 2))
    result = typed("captions", "--undo", undo_file)
    assert result.returncode == 0, result.stderr
    assert held(folder) == before  # also without the half-written file of the first kill
