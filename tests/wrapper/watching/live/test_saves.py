from __future__ import annotations

from typing import Any

import pytest

from kohya_presets.training.settings import Settings
from wrapper.screen.progress import Step
from wrapper.watching.live import saves


def steps(done: int, total: int = 1000, **train: Any) -> int | None:
    settings = Settings({"train": train, "dataset": {}})
    (found,) = saves.coming(settings, Step(done, total), model=7, state=20)
    return found.steps


@pytest.mark.parametrize(
    ("done", "train", "until"),
    [
        (0, {}, 1000),
        (990, {}, 10),
        (30, {"max_train_epochs": 10, "save_every_n_epochs": 1}, 70),
        (100, {"max_train_epochs": 10, "save_every_n_epochs": 2}, 100),
        (130, {"save_every_n_steps": 50}, 20),
        (990, {"save_every_n_steps": 300}, 10),
    ],
)
def test_the_nearest_save_counts(done: int, train: dict[str, Any], until: int) -> None:
    assert steps(done, **train) == until


def test_before_the_bar_nothing_is_known() -> None:
    assert saves.coming(Settings({"train": {}, "dataset": {}}), None, model=7) == ()


def test_a_state_beside_the_model_takes_room_too() -> None:
    made = Settings({"train": {"save_state": True}, "dataset": {}})
    assert saves.coming(made, Step(1, 9), model=7, state=20)[0].size == 27
    made = Settings({"train": {"save_state_on_train_end": True}, "dataset": {}})
    assert saves.coming(made, Step(1, 9), model=7, state=20)[0].size == 27
    made = Settings({"train": {}, "dataset": {}})
    assert saves.coming(made, Step(1, 9), model=7, state=20)[0].size == 7
