"""`runs list`, `show`, `clean` and `remove`, on runs of the fake trainer."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kohya_presets.errors import UserError
from tests.wrapper.runs import faked
from tests.wrapper.runs.faked import Heard
from tests.wrapper.runs.killing import kill_trainer, resume, wait_for
from wrapper.cli import cli
from wrapper.runs import manifest, runner
from wrapper.system import launch

posix = pytest.mark.skipif(os.name != "posix", reason="signals")
STATE = {"format": 1, "step": 4, "epoch": 1, "bytes": 9, "seconds": 1.5, "saved": 1}


def called(*words: object, code: int = 0) -> Result:
    found = CliRunner().invoke(cli, ["runs", *map(str, words)])
    assert (found.exit_code, found.exception) == (code, None) or code
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a finished run with something of every kind in it."""
    folder = (tmp_path / "my runs ü" / "korra").resolve()
    runner.carry_out(faked.new(folder, {"train": ("--on-the-way",)}), Heard(folder))
    (folder / "states" / "step00000004").mkdir()
    (folder / "states" / "step00000004" / "kp_resume.json").write_text(json.dumps(STATE), "utf-8")
    (folder / "model" / "korra-000002.safetensors.part").write_bytes(b"half")
    (folder / "train-earlier").mkdir()
    (folder / "mine.txt").write_text("notes", "utf-8")
    return folder


def left(folder: Path) -> set[str]:
    files = (f for f in folder.rglob("*") if f.is_file() and not f.name.startswith(".lock"))
    return {file.relative_to(folder).as_posix() for file in files}


def test_a_list_has_a_row_for_each_run_also_for_a_damaged_one(folder: Path) -> None:
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "run.toml").write_text("format = ", "utf-8")
    faked.new(folder.with_name("azula"))
    rows = called("list", "--runs", folder.parent).stdout.splitlines()
    assert sorted(row.split()[:3] for row in rows) == [
        ["azula", "skynet", "miniature"],
        ["broken", "?", "damaged"],
        ["korra", "skynet", "done"],
    ]
    found = json.loads(called("list", "--runs", folder.parent, "--json").stdout)
    assert {Path(run["run"]).name for run in found["runs"]} == {"azula", "korra"}
    assert found["damaged"] == [str(folder.parent / "broken")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"argv = \[.*?\]", "argv = []"),
        (r"argv = \[.*?\]", "argv = [1]"),
        (r"\[stage\.train\]", "[stage.trian]"),
        (r"\[run\]", "[[run]]"),
        (r"\A", "stage = 1\n"),
        (r"(?s)\[stage\.miniature\].*", "[stage]\ntrain = 1\n"),
        (r"(?s)\[stage\.miniature\].*", "[stage]\n"),
        ('state = "done"', 'state = "asleep"'),
        ('started = "', 'started = 1 # "'),
        (r"seconds = ", 'seconds = "" # '),
        (r"\[stage\.train\]", "[sd-scripts]\npatches = 1\n[stage.train]"),
        (r"text_encoders = true", "text_encoders = 2"),
    ],
)
def test_a_damaged_record_is_one_clear_error(old: str, new: str, folder: Path) -> None:
    file = folder / "run.toml"
    text, count = re.subn(old, new, file.read_text("utf-8"))
    assert count
    file.write_text(text, "utf-8")
    for words in (("runs", "show"), ("runs", "clean"), ("runs", "remove"), ("resume",)):
        found = CliRunner().invoke(cli, [*words, str(folder)])
        assert isinstance(found.exception, UserError), words
        assert "run.toml" in str(found.exception)
    assert "damaged run.toml" in called("list", "--runs", folder.parent).stdout


def test_a_run_is_shown_with_what_there_is_and_what_is_next(folder: Path) -> None:
    said = called("show", folder).stdout
    assert f"{folder}: done" in said
    assert "step 4 (epoch 1)" in said
    assert "checkpoints     1" in said
    assert "next:" not in said
    run = manifest.read(folder)
    manifest.write(run.with_stage(replace(run.stages[-1], state="failed")))
    assert "next: kohya-presets resume" in called("show", folder).stdout


def test_clean_without_a_kind_deletes_nothing(folder: Path) -> None:
    before = left(folder)
    said = called("clean", folder)
    assert left(folder) == before
    assert "would delete" in said.stderr
    assert "add what to delete" in said.stderr
    called("clean", folder, "states", "--dry-run")
    assert left(folder) == before


def test_what_the_run_was_planned_to_extract_goes_with_it(folder: Path) -> None:
    (folder / "keep.json").write_text("{}", "utf-8")
    called("remove", folder)
    assert left(folder) == {"mine.txt", "starts.txt"}


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        (
            "states",
            {
                "states/step00000004/kp_resume.json",
                "states/korra-000001-state/model.safetensors",
            },
        ),
        ("checkpoints", {"model/korra-000001.safetensors"}),
        ("leftovers", {"model/korra-000002.safetensors.part"}),
        ("samples", {"samples/korra_e000001_00.png"}),
        ("logs", {f"logs/{name}.log" for name in ("miniature", "train", "extract", "resize")}),
    ],
)
def test_clean_deletes_what_is_named_and_nothing_else(
    kind: str, gone: set[str], folder: Path
) -> None:
    before = left(folder)
    called("clean", folder, kind)
    assert before - left(folder) == gone


def test_states_that_a_run_still_needs_are_not_deleted(folder: Path) -> None:
    run = manifest.read(folder)
    manifest.write(run.with_stage(replace(run.stages[1], state="running")))
    said = called("clean", folder, "states", code=1)
    assert "state of step 4" in str(said.exception)
    assert (folder / "states" / "step00000004").is_dir()
    called("clean", folder, "states", "--force")
    assert not (folder / "states" / "step00000004").exists()


def test_a_removed_run_leaves_files_of_others(folder: Path) -> None:
    before = left(folder)
    called("remove", folder, "--dry-run")
    assert left(folder) == before
    said = called("remove", folder)
    assert left(folder) == {"mine.txt", "starts.txt"}
    assert "mine.txt: it is not the run's" in said.stderr


@posix
def test_a_run_at_work_is_followed_and_not_deleted(folder: Path) -> None:
    other = folder.with_name("azula")
    faked.new(other)
    faked.hold(other, "train")
    begun = resume(other)
    wait_for(lambda: faked.starts(other)["train"] == 1)
    begun.kill()
    begun.wait()
    try:
        for words in (("clean", other, "logs"), ("remove", other)):
            assert "still running" in str(called(*words, code=1).exception)
        heard = Heard(other)
        runner.watch(manifest.read(other), heard)  # which releases it, and ends with it
        assert heard.lines["train"]
        assert not launch.at_work(other)
        assert "no script runs" in str(called("show", other, "--follow", code=1).exception)
    finally:
        kill_trainer(other)


def test_clean_follows_no_link_out_of_the_run_and_leaves_loras(
    folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "Pictures" / "mine.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    (folder / "samples").rename(folder / "elsewhere")
    (folder / "samples").symlink_to(mine.parent)
    kept = [folder / "lora" / f"korra-{end}.safetensors" for end in ("dim64", "000010")]
    for file in kept:
        file.write_bytes(b"a LoRA")
    for kind in ("samples", "checkpoints", "leftovers"):
        called("clean", folder, kind)
    assert mine.read_bytes() == b"mine"
    assert all(file.is_file() for file in kept)
