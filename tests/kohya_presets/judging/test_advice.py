"""One recommendation from numbers, for usual runs and for odd ones."""

from __future__ import annotations

import dataclasses

import pytest

from kohya_presets.judging import advice
from kohya_presets.judging.epochs import Epoch


def epoch(number: int, copies: int = 0, trigger: float | None = 0.6, of: int = 4) -> Epoch:
    return Epoch(
        *(f"a-{number:06d}", number, 1.0, copies, of),
        *(0.9, 0.05, trigger, 4),
        0 if trigger is None else 4,
    )


def base(copies: int = 0, of: int = 4) -> Epoch:
    return Epoch("base", None, 1.0, copies, of, 0.9)


def verdict(*numbers: Epoch) -> tuple[str | None, str]:
    found = advice.recommended(numbers)
    assert found.reason[-1] == "."
    assert "  " not in found.reason
    return found.model, found.verdict


def test_the_last_epoch_before_copying_is_kept() -> None:
    run = epoch(10, trigger=0.1), epoch(20), epoch(30), epoch(40, 2), epoch(50, 4)
    assert verdict(base(), *run) == ("a-000030", "right")


def test_a_trigger_that_works_half_is_still_learned() -> None:
    assert verdict(epoch(10, 0, 0.3), epoch(20, 3, 0.9)) == (None, "overtrained")
    assert verdict(epoch(10, 0, 0.5), epoch(20, 3, 0.9)) == ("a-000010", "right")


def test_copies_before_the_trigger_works_are_overtraining() -> None:
    run = epoch(10, 0, 0.05), epoch(20, 3, 0.1), epoch(30, 4, 0.6)
    assert verdict(*run) == (None, "overtrained")
    assert verdict(epoch(10, 3, 0.01), epoch(20, 4, 0.02)) == (None, "overtrained")


def test_copies_at_every_epoch_need_no_trigger_to_be_overtraining() -> None:
    assert verdict(epoch(10, 3, None), epoch(20, 4, None)) == (None, "overtrained")


def test_a_single_picture_once_does_not_end_the_run() -> None:
    run = epoch(10), epoch(20, 1), epoch(30), epoch(40, 2)
    assert verdict(*run) == ("a-000030", "right")
    assert verdict(epoch(10), epoch(20, 1), epoch(30, 0, 0.01)) == ("a-000010", "right")


def test_an_epoch_that_copies_is_never_kept() -> None:
    run = epoch(10, 0, 0.05), epoch(20, 1), epoch(30, 0, 0.1)
    assert verdict(*run) == (None, "overtrained")


def test_false_alarms_of_many_captions_do_not_count() -> None:
    assert verdict(epoch(10, 2, of=40), epoch(20, 3, of=40)) == ("a-000020", "right")
    assert verdict(epoch(10, 2, of=40), epoch(20, 9, of=40)) == ("a-000010", "right")


def test_what_the_base_model_copies_was_not_learned() -> None:
    found = advice.recommended([base(2), epoch(10, 2), epoch(20, 4)])
    assert (found.model, found.verdict) == ("a-000010", "right")
    assert "not trained on the images, yet 2 of 4 captions come back" in found.reason


def test_nothing_happens_in_an_undertrained_run() -> None:
    found = advice.recommended([base(), epoch(10, 0, 0.05), epoch(20, 0, 0.1)])
    assert (found.model, found.verdict) == (None, "undertrained")
    assert "by 0.10 on average" in found.reason
    assert "train longer, or with a higher learning rate" in found.reason
    no_captions = epoch(10, 0, 0.05, of=0)
    assert verdict(no_captions) == (None, "undertrained")


def test_one_epoch_alone() -> None:
    assert verdict(epoch(10)) == ("a-000010", "right")
    assert verdict(epoch(10, 3)) == (None, "overtrained")
    assert verdict(epoch(10, 0, 0.05)) == (None, "undertrained")
    assert "Only this one" in advice.recommended([epoch(10)]).reason


def test_without_a_base_the_trigger_is_unknown() -> None:
    assert verdict(epoch(10, 0, None), epoch(20, 0, None)) == (None, "unknown")
    found = advice.recommended([epoch(10, 0, None), epoch(20, 3, None)])
    assert (found.model, found.verdict) == ("a-000010", "unknown")
    assert "The last one before that is epoch 10" in found.reason


def test_without_captions_copies_are_unknown() -> None:
    found = advice.recommended([base(of=0), epoch(10, of=0), epoch(20, of=0)])
    assert (found.model, found.verdict) == (None, "unknown")
    assert "captions word for word" in found.reason


@pytest.mark.parametrize("numbers", [(), (base(),)])
def test_no_lora_is_no_recommendation(numbers: tuple[Epoch, ...]) -> None:
    assert advice.recommended(numbers).reason == "No LoRA was evaluated."


def test_one_picture_is_too_few_to_conclude_from() -> None:
    assert verdict(epoch(10, 1, of=1), epoch(20, 1, of=1)) == (None, "unknown")
    alone = dataclasses.replace(epoch(10, 0, 0.9), trigger_of=1)
    assert verdict(alone) == (None, "unknown")


def test_a_small_sample_is_said() -> None:
    reason = advice.recommended([epoch(10, of=2)]).reason
    assert "None of 2 captions" in reason
    assert "2 captions are a small sample" in reason
    assert "small sample" not in advice.recommended([epoch(10)]).reason


def test_a_lower_strength_is_offered_if_it_was_tried() -> None:
    full = epoch(10, 4), epoch(20, 4)
    tried = [dataclasses.replace(epoch(10), strength=s) for s in (0.6, 0.8)]
    found = advice.recommended([*tried, *full])
    assert (found.model, found.verdict, found.strength) == ("a-000010", "overtrained", 0.8)
    assert "at strength 0.8: there, none of 4 captions" in found.reason
    dead = dataclasses.replace(epoch(10, 0, 0.05), strength=0.6)
    assert advice.recommended([dead, *full]).model is None


def test_epochs_are_judged_at_the_strength_nearest_to_1() -> None:
    weak = [dataclasses.replace(epoch(n), strength=0.6) for n in (10, 20)]
    assert advice.recommended([*weak, epoch(10), epoch(20, 4)]).model == "a-000010"
    assert advice.recommended(weak).strength == 0.6


def test_leaks_and_sameness_are_noted() -> None:
    one = dataclasses.replace(epoch(10), leak=0.5, diversity=0.2)
    reason = advice.recommended([base(), one]).reason
    assert "by 0.50: it leaks." in reason
    assert "much alike (0.20 apart; the base's: 0.90)" in reason
