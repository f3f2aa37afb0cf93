from __future__ import annotations

import pytest

from kohya_presets.dataset.sizes import steps
from kohya_presets.dataset.sizes.steps import Picture

SQUARE, WIDE = (1024, 1024), (1216, 832)


def test_each_bucket_has_batches_of_its_own() -> None:
    found = steps.epoch([Picture(SQUARE, 2)] * 5 + [Picture(WIDE)], 4)
    assert found.pictures == {SQUARE: 10, WIDE: 1}
    assert found.batches == {SQUARE: 3, WIDE: 1}
    assert (found.seen, found.length) == (11, 4)


@pytest.mark.parametrize(
    ("repeats", "shown"),
    [((1, 1, 1), 4), ((9, 1, 1), 9), ((1, 1, 5), 7), ((1,), 4)],
)
def test_regularization_images_fill_up(repeats: tuple[int, ...], shown: int) -> None:
    pictures = [Picture(SQUARE, 4), *(Picture(WIDE, count, True) for count in repeats)]
    assert steps.epoch(pictures, 1).pictures[WIDE] == shown


def test_regularization_images_alone_are_not_shown() -> None:
    assert steps.epoch([Picture(SQUARE, 3, True)], 1).seen == 0


@pytest.mark.parametrize(
    ("accumulation", "processes", "by_epoch", "steps_of_ten"),
    [(1, 1, 25, 250), (3, 1, 9, 90), (1, 2, 13, 130), (3, 2, 5, 50), (4, 3, 3, 30)],
)
def test_accumulation_and_processes_round_up(
    accumulation: int, processes: int, by_epoch: int, steps_of_ten: int
) -> None:
    found = steps.length(25, accumulation=accumulation, processes=processes, epochs=10)
    assert (found.by_epoch, found.steps) == (by_epoch, steps_of_ten)


def test_steps_count_where_no_epochs_are_given() -> None:
    found = steps.length(25, steps=1600)
    assert (found.steps, found.epochs) == (1600, 64)
    assert found.seconds(2.0) == 800
    assert found.cost(2.0, 1.8) == pytest.approx(0.4)


def test_epochs_win_over_steps() -> None:
    assert steps.length(25, epochs=2, steps=1600).steps == 50
