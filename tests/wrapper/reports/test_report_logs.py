from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tests.wrapper.watching import healthy
from wrapper.reports import logs, said
from wrapper.reports.said import Memory

UTC = datetime.timezone.utc


@pytest.mark.parametrize("name", ["skynet-v0.9.1.log", "saving-v0.10.1.log", "a6000-v0.11.1.log"])
def test_a_real_log_tells_its_steps_and_losses(name: str) -> None:
    found = logs.of(healthy.read(name))
    assert found.done == found.total > 0
    assert [point.step for point in found.losses] == sorted({p.step for p in found.losses})
    assert all(0 < point.value < 10 for point in found.losses)


def test_warnings_are_told_once_with_their_number() -> None:
    found = logs.of(healthy.read("saving-v0.10.1.log"))
    texts = [text for text, _ in found.warnings]
    assert any(text.startswith("no regularization images") for text in texts)
    assert not any("train_util.py" in text for text in texts)
    assert 'SyntaxWarning: "is not" with a literal. Did you mean "!="?' in texts


@pytest.mark.parametrize("between", ["\n", ""])
def test_attempts_are_told_and_the_later_one_counts(between: str) -> None:
    bar = "steps:  50%|#| {}/4 [00:01<00:01, 4.11it/s, avr_loss={}]"
    begun = "2026-11-26T18:{}:00+00:00 kohya-presets: train, scripts in /x, patches: none"
    lines = [begun.format(10), *(bar.format(n, 0.5) for n in (1, 2, 3))]
    after = begun.format(20) + "\nkohya-presets: continuing after step 1\n" + bar.format(2, 0.25)
    # A trainer that was killed ends no line: the next attempt's begins behind its last bar.
    found = logs.of(("\n".join(lines) + between + after).split("\n"))
    assert [(p.step, p.value) for p in found.losses] == [(1, 0.5), (2, 0.25)]
    assert found.begun[1] - found.begun[0] == 600
    assert found.said == ("continuing after step 1",)
    assert (found.done, found.total) == (2, 4)


def test_no_log_is_nothing(tmp_path: Path) -> None:
    assert logs.read(tmp_path / "train.log") == logs.Read()


def test_what_is_said_is_read_back(tmp_path: Path) -> None:
    now = datetime.datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
    said.say(tmp_path, "train: paused\n  hint: free 3 GB", now)
    said.say(tmp_path, "a name \ud800 that is no text", now)
    first, second = said.lines(tmp_path)
    assert first.at == now.timestamp()
    assert first.text == "train: paused\nhint: free 3 GB"
    assert second.text == r"a name \ud800 that is no text"


def test_no_secret_is_kept(tmp_path: Path) -> None:
    token = "hf_" + "a1B2" * 8
    said.say(tmp_path, f"the token {token}", datetime.datetime.now(UTC))
    assert token not in (tmp_path / "logs" / "said.log").read_text("utf-8")


def test_memory_is_read_back_and_half_a_line_is_not(tmp_path: Path) -> None:
    said.remember(tmp_path, Memory(10.0, 2048.0, 8192.0))
    said.remember(tmp_path, Memory(40.0, 4096.0, 8192.0))
    with (tmp_path / "logs" / "gpu.csv").open("a") as file:
        file.write("nan,1,2\n70,40")
    assert said.memory(tmp_path) == [Memory(10.0, 2048.0, 8192.0), Memory(40.0, 4096.0, 8192.0)]
