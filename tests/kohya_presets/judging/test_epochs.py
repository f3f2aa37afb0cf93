"""From distances to the numbers of epochs, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kohya_presets.judging import epochs, structure
from kohya_presets.judging.epochs import Epoch, Picture, Shot, Spread

NEAR, FAR = structure.COPY - 0.1, structure.COPY + 0.1


def shot(
    kind: str,
    nearest: float | None = None,
    to_base: float | None = None,
    *,
    model: str = "a-000010",
    epoch: int | None = 10,
    strength: float = 1.0,
    prompt: str | None = None,
    seed: int = 1,
) -> Shot:
    return Shot(model, epoch, kind, prompt or kind, seed, strength, nearest, to_base)


def test_copies_are_counted_of_captions_alone() -> None:
    seeds = [shot("caption", NEAR, seed=1), shot("caption", FAR, seed=2)]
    others = [shot("caption", FAR, prompt="b"), shot("near", NEAR), shot("caption", prompt="c")]
    (found,) = epochs.numbers([*seeds, *others])
    assert (found.copies, found.of, found.share) == (1, 2, 0.5)  # one of two captions


def test_a_distance_at_the_limit_is_no_copy() -> None:
    assert not shot("caption", structure.COPY).copy
    assert not shot("caption", None).copy
    assert shot("caption", 0.0).copy


def test_leak_is_of_all_prompts_without_the_trigger() -> None:
    shots = [
        *(shot("without", FAR, 0.1), shot("generic", FAR, 0.3), shot("generic", FAR, None)),
        *(shot("trigger", FAR, 0.8), shot("near", FAR, 0.9)),
    ]
    (found,) = epochs.numbers(shots)
    assert (found.leak, found.leak_of) == (pytest.approx(0.2), 2)
    assert (found.trigger, found.trigger_of) == (0.8, 1)
    assert (found.of, found.diversity, found.share) == (0, None, 0.0)


def test_epochs_are_in_order_with_the_last_file_without_a_number_last() -> None:
    shots = [
        shot("caption", model="a", epoch=None),
        shot("caption", model="a-000020", epoch=20),
        shot("caption", model="a-000010", epoch=10),
        shot("caption", model="a-000010", epoch=10, strength=0.6),
        shot("caption", model="base", epoch=None),
    ]
    found = [(e.model, e.strength) for e in epochs.numbers(shots)]
    assert found == [("base", 1), ("a-000010", 0.6), ("a-000010", 1), ("a-000020", 1), ("a", 1)]
    assert epochs.numbers([]) == []


def test_diversity_is_the_mean_of_the_prompts_of_its_model_and_strength() -> None:
    spreads = [
        *(Spread("a-000010", 1.0, "x", 0.2), Spread("a-000010", 1.0, "y", 0.4)),
        *(Spread("a-000010", 0.6, "x", 0.9), Spread("base", 1.0, "x", 0.9)),
    ]
    (found,) = epochs.numbers([shot("generic")], spreads)
    assert found == Epoch("a-000010", 10, 1.0, 0, 0, pytest.approx(0.3))


def picture(model: str, prompt: str, seed: int, drawn: int, strength: float = 1.0) -> Picture:
    noise = np.random.default_rng(drawn).integers(0, 256, (8, 8, 3), np.uint8)
    features = structure.describe(noise)
    return Picture(model, None, "generic", prompt, seed, strength, features)


def test_a_picture_is_compared_with_the_bases_of_its_prompt_and_seed() -> None:
    pictures = [
        *(picture("base", "x", 1, 1), picture("base", "x", 2, 2)),
        *(picture("a", "x", 2, 2, 0.6), picture("a", "x", 1, 3), picture("a", "y", 1, 1)),
    ]
    found = [s.to_base for s in epochs.shots(pictures, [])]
    assert found[:3] == [None, None, pytest.approx(0, abs=1e-5)]
    assert found[3] is not None
    assert found[3] > 0.3
    assert found[4] is None
    assert {s.nearest for s in epochs.shots(pictures, [])} == {None}


def test_only_seeds_of_one_prompt_are_spread() -> None:
    pictures = [
        *(picture("a", "x", 1, 1), picture("a", "x", 2, 1), picture("a", "x", 3, 1)),
        *(picture("a", "y", 1, 1), picture("a", "x", 4, 9, 0.6), picture("b", "x", 1, 2)),
    ]
    (found,) = epochs.spreads(pictures)
    assert (found.model, found.prompt, found.strength) == ("a", "x", 1.0)
    assert found.distance == pytest.approx(0, abs=1e-5)


def test_each_number_says_what_it_cannot_tell() -> None:
    assert set(epochs.MEANING) == {"copies", "diversity", "leak", "trigger"}
