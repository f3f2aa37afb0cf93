"""Real pictures through all steps: three made runs, three recommendations."""

from __future__ import annotations

from kohya_presets.judging import advice, epochs
from kohya_presets.judging.advice import Recommendation
from kohya_presets.judging.epochs import Epoch
from tests.kohya_presets.judging import made_runs


def judged(run: made_runs.Done) -> tuple[dict[int | None, Epoch], Recommendation]:
    pictures = list(made_runs.pictures(run))
    trained = [made_runs.described(image) for image in made_runs.training()]
    found = epochs.numbers(epochs.shots(pictures, trained), epochs.spreads(pictures))
    return {e.epoch: e for e in found}, advice.recommended(found)


def test_an_undertrained_run_is_to_be_trained_longer() -> None:
    found, told = judged(made_runs.UNDERTRAINED)
    assert [e.copies for e in found.values()] == [0, 0, 0, 0]
    assert found[30].trigger is not None
    assert found[30].trigger < 0.1
    assert (told.model, told.verdict) == (None, "undertrained")
    assert "train longer" in told.reason


def test_of_a_right_run_the_last_epoch_before_copying_is_kept() -> None:
    found, told = judged(made_runs.RIGHT)
    assert [(e.copies, e.of) for e in found.values()] == [(n, 4) for n in (0, 0, 0, 0, 3, 4)]
    assert found[None].diversity is not None
    assert found[None].trigger is None  # the base is not compared with itself
    assert found[30].trigger is not None
    assert found[30].leak is not None
    assert found[30].leak < 0.1 < 0.5 < found[30].trigger
    assert (told.model, told.verdict, told.strength) == ("thing-000030", "right", 1.0)
    assert "Copying starts at epoch 40 (thing-000040): 3 of 4 captions come back" in told.reason


def test_an_overtrained_run_is_to_be_trained_less() -> None:
    found, told = judged(made_runs.OVERTRAINED)
    assert [e.copies for e in found.values()] == [0, 3, 4, 4]
    assert (told.model, told.verdict) == (None, "overtrained")
    assert "Train less" in told.reason
    assert "3 of 4 captions come back" in told.reason


def test_a_copy_is_told_with_the_image_that_it_copies() -> None:
    pictures = list(made_runs.pictures({10: (4, True)}))
    trained = [made_runs.described(image) for image in made_runs.training()]
    shots = epochs.shots(pictures, trained)
    captions = [s for s in shots if s.kind == "caption" and s.model != "base"]
    assert [(s.index, s.copy) for s in captions] == [(n, True) for n in range(4)]
