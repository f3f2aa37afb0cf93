"""`dataset check` from end to end, on images that the test makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.errors import UserError
from tests.wrapper.cli.test_cli import run
from tests.wrapper.data import odd_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my pictures ü"
    made.mkdir()
    for number in range(3):
        odd_pictures.drawn(number, (1024, 1024)).save(made / f"{number}.png")
        (made / f"{number}.txt").write_text(f"korra, number {number}", "utf-8")
    return made


def test_a_sound_folder_has_no_errors_and_no_warnings(folder: Path) -> None:
    done = run("dataset", "check", folder)
    assert done.exit_code == 0
    assert "3 images; no errors, no warnings" in done.stdout
    assert "3 steps an epoch (3 pictures, repeats counted); 300 in all" in done.stdout


def test_an_error_is_told_with_what_sd_scripts_does_and_the_exit_code_is_3(folder: Path) -> None:
    (folder / "1.txt").write_bytes(b"")
    done = run("dataset", "check", folder)
    assert done.exit_code == 3
    assert "error: " in done.stdout
    assert "[caption-empty]" in done.stdout
    assert 'sd-scripts: It stops with "caption file is empty"' in done.stdout
    quiet = run("dataset", "check", folder, "--ignore", "caption-empty")
    assert quiet.exit_code == 0
    with pytest.raises(UserError, match="there is no check 'caption-emtpy'"):
        run("dataset", "check", folder, "--ignore", "caption-emtpy")


def test_json_names_every_file(folder: Path) -> None:
    Image.new("RGB", (1024, 1024)).save(folder / "3.png")
    found = json.loads(run("dataset", "check", folder, "--json").stdout)
    (problem,) = (p for p in found["problems"] if p["code"] == "caption-missing")
    assert problem["files"] == [str(folder / "3.png")]
    assert problem["trainer"].startswith("It trains them with an empty caption")


def test_gpus_pace_and_rate_tell_hours_and_money(folder: Path) -> None:
    words = ("--gpus", "2", "--pace", "0.5", "--rate", "2")
    done = run("dataset", "check", folder, "--headers-only", *words)
    assert "2 steps an epoch" in done.stdout
    assert "200 in all" in done.stdout
    assert "0.1 hours at 0.5 steps a second, 0.22 at 2 an hour" in done.stdout


def test_nothing_in_the_folder_is_changed(folder: Path) -> None:
    before = {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in folder.iterdir()}
    run("dataset", "check", folder, "--advice", "--trigger", "korra")
    after = {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in folder.iterdir()}
    assert after == before
