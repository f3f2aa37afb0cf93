from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.wrapper.reports import made_runs
from wrapper.reports import gather, story

BEGAN = made_runs.BEGAN


def test_attempts_end_at_their_last_sign_of_life(tmp_path: Path) -> None:
    begun = [made_runs.at(seconds) for seconds in (0, 10_000)]
    made_runs.run(
        tmp_path / "run",
        state="failed",
        started=begun[1],
        finished=made_runs.at(10_500),
        exit_code=9,
    )
    log = "".join(f"{at} kohya-presets: train, scripts in /x, patches: none\n" for at in begun)
    (tmp_path / "run" / "logs" / "train.log").write_text(log, "utf-8")
    made_runs.log_events(tmp_path / "run", range(1, 101))  # until 150 s after the first began
    # Trained again from the first step on: the attempt before has lasted as long all the same.
    made_runs.log_events(tmp_path / "run", range(1, 11), began=BEGAN + 10_000)
    first, second = story.spans(gather.of(tmp_path / "run"))
    assert (first.begin, first.end, first.guessed) == (BEGAN, BEGAN + 150, True)
    assert (second.begin, second.end, second.guessed) == (BEGAN + 10_000, BEGAN + 10_500, False)
    assert second.number == 2


def test_an_attempt_that_was_interrupted_ends_there(tmp_path: Path) -> None:
    begun = [made_runs.at(seconds) for seconds in (0, 10_000)]
    made_runs.run(tmp_path / "run", state="running", started=begun[1])
    log = "".join(f"{at} kohya-presets: train, scripts in /x, patches: none\n" for at in begun)
    (tmp_path / "run" / "logs" / "train.log").write_text(log, "utf-8")
    (tmp_path / "run" / "logs" / "said.log").write_text(
        f"{made_runs.at(500)} interrupted\n{begun[1]} miniature: already done\n", "utf-8"
    )
    first, _ = story.spans(gather.of(tmp_path / "run"))
    assert first.end == BEGAN + 500


def test_what_happened_is_told_in_its_order(tmp_path: Path) -> None:
    made_runs.run(
        tmp_path / "run",
        state="failed",
        started=made_runs.at(0),
        finished=made_runs.at(900),
        exit_code=9,
    )
    made_runs.state(tmp_path / "run", 400)  # at 600 s
    (tmp_path / "run" / "logs" / "said.log").write_text(
        f"{made_runs.at(300)} train: continuing after step 7\n"
        f"{made_runs.at(700)} paused: the disk has room for 1 GB\n",
        "utf-8",
    )
    found = story.moments(gather.of(tmp_path / "run"))
    assert [(m.at - BEGAN, m.kind) for m in found] == [
        (0, "start"),
        (300, "note"),
        (600, "saved"),
        (700, "warning"),
        (900, "stop"),
    ]
    assert found[-1].text == "train failed with exit code 9"


def test_a_lora_that_was_kept_is_told_once(tmp_path: Path) -> None:
    made_runs.done(tmp_path / "run")
    (tmp_path / "run" / "logs" / "said.log").write_text(
        f"{made_runs.at(5)} keep: lora/korra.safetensors: rank 16\n"
        f"{made_runs.at(6)} keep: extraction stopped\n",
        "utf-8",
    )
    told = [m.text for m in story.moments(gather.of(tmp_path / "run"))]
    assert "keep: extraction stopped" in told
    assert not any(text.startswith("keep: lora/") for text in told)
    assert sum("lora/korra.safetensors" in text for text in told) == 1


def test_one_stage_ends_before_the_next_begins(tmp_path: Path) -> None:
    made_runs.run(tmp_path / "run")
    found = gather.of(tmp_path / "run")
    train, extract, *_ = found.run.stages
    run = found.run.with_stage(
        replace(train, state="done", started=made_runs.at(0), finished=made_runs.at(60))
    ).with_stage(replace(extract, state="running", started=made_runs.at(60)))
    told = [m.text for m in story.moments(replace(found, run=run))]
    assert told == ["train started", "train finished", "extract started"]


def test_of_very_many_saves_the_last_are_shown() -> None:
    saves = [story.Moment(float(n), "saved", "a state") for n in range(500)]
    notes = [story.Moment(float(n) + 0.5, "note", "said") for n in range(50)]
    shown, left_out = story.shown(sorted([*saves, *notes], key=lambda m: m.at))
    assert len(shown) == story.MOST
    assert left_out == 350
    assert shown[-1].at == 499
    assert sum(moment.kind == "note" for moment in shown) == 50
