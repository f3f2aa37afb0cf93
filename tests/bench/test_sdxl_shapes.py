"""The benchmarks' shapes are SDXL's, and a sample of them has sizes like the whole."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.bench.loading import load

sdxl_shapes = load("sdxl_shapes")


@pytest.mark.parametrize(
    ("part", "tensors", "parameters"),
    [
        ("unet", 1680, 2_567_463_684),
        ("text_encoder_1", 196, 123_060_480),
        ("text_encoder_2", 517, 694_659_840),
    ],
)
def test_the_parts_have_as_many_parameters_as_sdxl(
    part: str, tensors: int, parameters: int
) -> None:
    shapes = getattr(sdxl_shapes, part)()
    assert len(shapes) == tensors
    assert sdxl_shapes.count(shapes) == parameters


@pytest.mark.parametrize("parameters", [10**8, 2 * 10**8, 4 * 10**8])
def test_a_sample_is_about_as_large_as_asked_and_of_all_sizes(parameters: int) -> None:
    sample = sdxl_shapes.sample(parameters)
    assert sample.parameters == pytest.approx(parameters, rel=0.15)
    assert sample.parameters / len(sample.shapes) == pytest.approx(
        sample.parameters_in_all / sample.tensors_in_all, rel=0.15
    )
    sizes = [math.prod(shape) for shape in sample.shapes]
    assert min(sizes) <= 1280
    assert max(sizes) >= 10 * 2**20


def test_a_sample_of_everything_is_everything() -> None:
    sample = sdxl_shapes.sample(10**10)
    assert sample.parameters == sample.parameters_in_all == 3_385_184_004
    assert str(sample).startswith("2393 tensors, 3.39 G parameters: ")


@pytest.mark.parametrize("at_most", [2 * 10**6, 65 * 10**6])
def test_groups_together_have_every_tensor_and_are_not_too_large(at_most: int) -> None:
    groups = sdxl_shapes.groups(at_most)
    found: Counter[tuple[int, ...]] = Counter()
    for group in groups:
        assert group.parameters <= at_most or len(group.shapes) == 1
        for shape in group.shapes:
            found[shape] += group.times
    parts = (sdxl_shapes.unet(), sdxl_shapes.text_encoder_1(), sdxl_shapes.text_encoder_2())
    assert found == Counter(shape for part in parts for shape in part)
    assert sum(group.parameters for group in groups) < 10**9
