"""Distances of made pictures: what is a copy, what is none, and that the bounds hold."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.pictures import remembered, scenes
from kohya_presets.judging import structure

SIDE = 200
COPIES = {"encoded": 3, "recoloured": 3, "moved": 3, "mirrored": 3, "redrawn": 4, "dreamt": 3}


def described(image: Image.Image) -> structure.Features:
    return structure.describe(np.asarray(image.convert("RGB")))


def grey(level: int, size: tuple[int, int] = (40, 30)) -> structure.Features:
    return described(Image.new("RGB", size, (level, level, level)))


@pytest.mark.parametrize("number", [21, 33, 45, 58])
@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_near_whatever_a_memory_does_to_it(kind: str, number: int) -> None:
    change, strengths = remembered.KINDS[kind]
    original = scenes.scene(number, SIDE)
    copy = change(original, strengths[COPIES[kind] - 1], np.random.default_rng(number))
    training = [described(scenes.scene(n, SIDE)) for n in (20, number, 59)]
    index, far = structure.nearest([described(copy)], training)[0]
    assert index == 1
    assert far < structure.COPY


@pytest.mark.parametrize("number", [21, 33, 46, 58])
def test_the_same_subject_or_the_same_place_alone_is_no_copy(number: int) -> None:
    trained = described(scenes.scene(number, SIDE))
    others = (
        scenes.scene(number, SIDE, sibling=1),
        scenes.posed(number, SIDE, before=number),
        scenes.posed(number, SIDE, before=number + 10),
        scenes.scene(number + 1, SIDE),
    )
    for other in others:
        assert structure.distance(described(other), trained) > structure.COPY


def test_distances_grow_with_what_was_done() -> None:
    original = scenes.scene(33, SIDE)
    repaint, strengths = remembered.KINDS["repainted"]
    far = [
        structure.distance(
            described(repaint(original, by, np.random.default_rng(1))), described(original)
        )
        for by in (strengths[0], strengths[2], 0.5)
    ]
    assert 0 < far[0] < far[1] < far[2] <= 1


def test_the_same_picture_is_at_distance_0_at_any_size() -> None:
    original = scenes.scene(21, 512)
    trained = described(original)
    assert structure.distance(trained, trained) == pytest.approx(0, abs=1e-5)
    for width in (150, 300, 1200):
        resized = original.resize((width, round(width * original.height / original.width)))
        assert structure.distance(described(resized), trained) < 0.05
    squeezed = original.resize((256, 256))
    assert structure.distance(described(squeezed), trained) < 0.05


def test_a_picture_that_shows_more_than_the_training_image_is_found() -> None:
    wider = scenes.scene(45, SIDE)
    width, height = wider.size
    trained = wider.crop((width // 10, height // 10, width * 9 // 10, height * 9 // 10))
    assert structure.distance(described(wider), described(trained)) < structure.COPY


def test_changed_looks_place_by_place_and_distance_does_not() -> None:
    original = scenes.scene(33, SIDE)
    mirrored = described(ImageOps.mirror(original))
    one, other = structure.changed([mirrored, described(original)], [described(original)] * 2)
    assert one > 0.5
    assert other == pytest.approx(0, abs=1e-5)
    assert structure.distance(mirrored, described(original)) < 0.1


def test_flat_pictures_are_like_each_other_and_unlike_all_else() -> None:
    assert structure.distance(grey(0), grey(255)) == pytest.approx(0, abs=1e-4)
    assert structure.distance(grey(0), described(scenes.scene(33, SIDE))) > 0.9
    assert structure.distance(described(scenes.scene(33, SIDE)), grey(0)) > 0.9


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (3, 2, 3), (700, 40, 3)])
def test_every_size_has_features(shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    features = structure.describe(noise)
    assert features.shape == (structure.DIRECTIONS, structure.CELLS, structure.CELLS)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert 0 <= structure.distance(features, grey(9)) <= 1


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected height x width x 3"):
        structure.describe(np.zeros(shape, np.uint8))


def test_without_training_images_nothing_is_nearest() -> None:
    with pytest.raises(ValueError, match="no training image"):
        structure.nearest([grey(1)], [])
    assert structure.nearest([], [grey(1)]) == []
    assert structure.changed([], []) == []


def test_many_are_compared_as_one_by_one() -> None:
    made = [described(scenes.scene(n, 100)) for n in range(12)]
    ours, training = made * 50, made[:7]  # more than are compared at a time
    together = structure.nearest(ours, training)
    assert [i for i, _ in together[:7]] == [*range(7)]
    for number in (0, 8, 11, 599):
        index, far = structure.nearest([ours[number]], training)[0]
        assert together[number] == (index, pytest.approx(far, abs=1e-4))


def test_a_hundred_epochs_are_compared_in_seconds() -> None:
    dice = np.random.default_rng(0)
    shape = (structure.DIRECTIONS, structure.CELLS, structure.CELLS)
    pictures = list(dice.random((4000, *shape), np.float32))
    started = time.process_time()
    structure.nearest(pictures, pictures[:150])
    assert time.process_time() - started < 30  # 2 on an idle machine
