"""The report follows a run that goes on, and never harms it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.errors import TrainerError, UserError
from tests import tensors
from tests.wrapper.reports import made_runs
from tests.wrapper.runs import faked
from tests.wrapper.runs.faked import Heard
from wrapper.reports import along, said
from wrapper.reports.along import Along
from wrapper.runs import runner

PATIENCE_SECONDS = 20.0


def wait_for(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_run_has_a_report_at_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "a run ü"
    run, heard = faked.new(folder), Heard(folder)
    with along.kept(folder, heard) as watcher:
        runner.carry_out(run, watcher)
    assert heard.finished == ["miniature", "train", "extract", "resize"]
    text = (folder / "report.html").read_text("utf-8")
    assert "resize finished" in text
    assert not any(line.startswith("report:") for line in heard.said)


def test_what_was_warned_of_before_is_kept_with_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run, heard = faked.new(folder), Heard(folder)
    with along.kept(
        folder, heard, before=["warning: korra.txt is empty\n  hint: fill it"]
    ) as watcher:
        runner.carry_out(run, watcher)
    assert said.lines(folder)[0].text == "warning: korra.txt is empty\nhint: fill it"
    assert "korra.txt is empty" in (folder / "report.html").read_text("utf-8")
    assert not any("korra.txt" in line for line in heard.said)  # it was said before


def test_how_it_failed_is_in_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run, heard = faked.new(folder, {"train": ("--exit-code=3", "--makes=nothing")}), Heard(folder)
    with pytest.raises(TrainerError), along.kept(folder, heard) as watcher:
        runner.carry_out(run, watcher)
    told = [line.text for line in said.lines(folder)]
    assert "train stopped with exit code 3" in told[-1]
    text = re.sub(r"<[^>]*>", " ", (folder / "report.html").read_text("utf-8"))
    assert "train stopped with exit code 3" in text
    assert "hint: Read the log." in text
    assert "train failed" in text


def test_it_is_written_at_a_save_while_the_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made_runs.run(folder)
    heard = Heard(folder)
    beside = Along(folder, heard, None, poll_seconds=0.05, memory=lambda: (2048.0, 8192.0))
    report = folder / "report.html"
    try:
        with beside.stage("train"):
            time.sleep(0.3)
            assert not report.exists()  # nothing was saved yet
            tensors.write(folder / "lora" / "korra-000010.safetensors", tensors.lora(16))
            wait_for(report.exists)
            assert "korra-000010" in report.read_text("utf-8")
    finally:
        beside.close()
    assert [(m.used, m.total) for m in said.memory(folder)] == [(2048.0, 8192.0)]
    assert "At most 2.0 GiB of 8.0 GiB" in report.read_text("utf-8")


def test_a_report_that_fails_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run, heard = faked.new(folder), Heard(folder)
    (folder / "report.html").mkdir()
    with along.kept(folder, heard) as watcher:
        runner.carry_out(run, watcher)
        tensors.write(folder / "model" / "another.safetensors", tensors.SDXL)
    (told,) = (line for line in heard.said if line.startswith("report:"))
    assert "cannot be written" in told
    assert told.endswith("the run goes on")


def test_a_fault_of_ours_stops_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    run, heard = faked.new(folder), Heard(folder)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("BUG")

    monkeypatch.setattr(along.page, "write", broken)
    with along.kept(folder, heard) as watcher:
        assert runner.carry_out(run, watcher) is not None
    assert "ZeroDivisionError: BUG" in heard.said[-1]


def test_a_run_that_another_process_carries_out_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run, heard = faked.new(folder), Heard(folder)
    busy = pytest.raises(UserError, match="already working")
    with runner.lock(folder), busy, along.kept(folder, heard) as watcher:
        runner.carry_out(run, watcher)
    assert not (folder / "report.html").exists()
    assert said.lines(folder) == []
