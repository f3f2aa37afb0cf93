"""What stands beside the bar of training."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

from tests.wrapper.runs import faked
from wrapper.runs.news import News

BAR = "steps:  50%|#####     | 60/120 [01:00<01:00, 1.00it/s, avr_loss=0.1]"


def test_epoch_state_load_and_money(tmp_path: Path) -> None:
    run = faked.new(tmp_path / "run", stages=("train",))
    (train,) = run.stages
    now = [0.0]
    looks: list[float] = []

    def load() -> str:
        looks.append(now[0])
        return "GPU 41 of 80 GiB 62 °C 288 W"

    earlier = run.with_stage(replace(train, seconds=3600.0))
    news = News(earlier, train, 0.5, clock=lambda: now[0], load=load)
    assert news() == "GPU 41 of 80 GiB 62 °C 288 W  cost 0.50"
    (state := run.folder / "states" / "step00000040").mkdir(parents=True)
    told = {
        "format": 1,
        "step": 40,
        "epoch": 1,
        "bytes": 9,
        "seconds": 1,
        "saved": time.time() - 65,
    }
    (state / "kp_resume.json").write_text(json.dumps(told), "utf-8")
    news.line("epoch 3/10")
    news.line(BAR)
    now[0] = 7.0
    assert news().startswith("epoch 3/10  GPU 41")  # nothing is looked at twice in ten seconds
    now[0] = 1800.0
    said = news()
    assert "state of step 40 1:05 ago" in said
    assert said.endswith("cost 0.75, 0.01 to go")
    assert looks == [0.0, 1800.0]


def test_without_a_rate_there_is_no_money_and_other_stages_have_no_epoch(tmp_path: Path) -> None:
    run = faked.new(tmp_path / "run", stages=("train", "extract"))
    news = News(run, run.stages[1], None, load=lambda: "GPU")
    news.line("epoch 3/10")
    assert news() == ""
