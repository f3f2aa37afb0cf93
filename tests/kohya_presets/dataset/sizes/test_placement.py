from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.dataset.sizes import buckets
from kohya_presets.dataset.sizes.buckets import Buckets
from kohya_presets.dataset.sizes.placement import Placement, Refused
from kohya_presets.training.settings import Settings

BOTH = {"enabled": True, "largest": 2048}
SIDES = st.integers(64, 6000)
SETTINGS = st.builds(
    Buckets,
    st.sampled_from([(1024, 1024), (1024, 768), (832, 1216), (1000, 1000), (512, 512)]),
    st.just(True),
    st.booleans(),
    st.sampled_from([256, 300, 512]),
    st.sampled_from([1216, 1500, 2048]),
    st.sampled_from([32, 64, 128]),
    st.sampled_from(["v0.7.0", "v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"]),
)


def of(dataset: dict[str, Any], train: dict[str, Any] | None = None, **how: Any) -> Buckets:
    tables = {"dataset": {"resolution": [1024, 1024], **dataset}, "train": train or {}}
    made = buckets.of(Settings(tables, **how))
    assert made
    return made


@given(SETTINGS, SIDES, SIDES)
def test_a_picture_covers_its_bucket_and_loses_only_what_juts_out(
    made: Buckets, width: int, height: int
) -> None:
    try:
        found = made.place(width, height)
    except Refused:
        assert made.no_upscale
        return
    left, top, right, bottom = found.margins
    assert found.scaled[0] - left - right == found.bucket[0]
    assert found.scaled[1] - top - bottom == found.bucket[1]
    assert 0 <= left <= right <= left + 1
    assert 0 <= top <= bottom <= top + 1
    assert 0 <= found.lost < 1
    if made.no_upscale:
        assert not found.enlarged
        assert not found.bucket[0] % made.step
        assert not found.bucket[1] % made.step
    else:
        assert found.bucket in made.sizes
        assert 0 in found.cropped  # one side fits exactly


@given(SETTINGS, SIDES, SIDES)
def test_a_picture_keeps_its_ratio_while_it_is_scaled(
    made: Buckets, width: int, height: int
) -> None:
    try:
        scaled = made.place(width, height).scaled
    except Refused:
        return
    # Each side is rounded to a pixel.
    assert math.isclose(scaled[0] / scaled[1], width / height, rel_tol=1.1 / min(scaled))


@given(SETTINGS)
def test_what_has_a_buckets_size_already_is_neither_scaled_nor_cropped(made: Buckets) -> None:
    if made.fault() is None and not made.no_upscale:
        for size in made.sizes:
            assert made.place(*size) == Placement(size, size, size)


def test_a_panorama_loses_what_no_bucket_can_hold() -> None:
    found = Buckets((1024, 1024), **BOTH).place(16384, 1024)
    assert found.bucket == (2048, 256)
    assert found.scaled == (4096, 256)
    assert found.lost == 0.5
    assert found.margins == (1024, 0, 1024, 0)
    assert found.box == (4096, 0, 12288, 1024)
    assert not found.enlarged


@pytest.mark.parametrize(
    ("release", "size", "interpolation"),
    [
        ("v0.8.8", (400, 400), "area"),
        ("b8896aad4002", (400, 400), "area"),
        ("v0.9.0", (400, 400), "lanczos"),
        ("v0.10.1", (400, 400), "lanczos"),
        ("v0.9.1", (2000, 2000), "area"),
        # Scaled to 513 x 2048: one side stays. v0.9 calls that enlarged, later ones do not.
        ("v0.9.1", (513, 2049), "lanczos"),
        ("8ebe858f8963", (513, 2049), "lanczos"),
        ("v0.10.0", (513, 2049), "area"),
        ("v0.10.1", (1030, 1024), None),
    ],
)
def test_how_it_is_scaled_depends_on_the_release(
    release: str, size: tuple[int, int], interpolation: str | None
) -> None:
    found = Buckets((1024, 1024), **BOTH, release=release).place(*size)
    assert found.interpolation == interpolation


def test_a_chosen_interpolation_is_used_both_ways() -> None:
    made = of({"enable_bucket": True, "resize_interpolation": "box"}, release="v0.11.1")
    assert made.place(400, 400).interpolation == made.place(4000, 4000).interpolation == "box"
    assert made.place(1024, 1024).interpolation is None


@pytest.mark.parametrize(
    ("changed", "release", "fault"),
    [
        ({}, "v0.10.1", None),
        ({"enabled": False, "step": 7}, "v0.10.1", None),
        ({"smallest": 1100}, "v0.10.1", "min_bucket_reso is 1088, more than the resolution"),
        ({"smallest": 1050}, "v0.8.7", "min_bucket_reso is 1050, more than the resolution"),
        ({"smallest": 1050}, "v0.9.1", None),  # rounded down to 1024
        ({"largest": 1000}, "v0.8.7", "max_bucket_reso is 1000, less than the resolution"),
        ({"largest": 1000}, "v0.9.1", None),  # rounded up to 1024
        ({"step": 48}, "v0.10.1", "bucket_reso_steps is 48, not a multiple of 32"),
        ({"step": 0}, "v0.10.1", "bucket_reso_steps is 0, less than 1"),
        ({"smallest": 32}, "v0.10.1", "min_bucket_reso is 32, less than bucket_reso_steps (64)"),
        ({"smallest": 32}, "v0.8.7", None),
        ({"smallest": 32}, "v0.7.0", "min_bucket_reso is 32, less than bucket_reso_steps (64)"),
        ({"smallest": 32, "no_upscale": True}, "v0.10.1", None),
    ],
)
def test_settings_that_stop_sd_scripts_are_told(
    changed: dict[str, Any], release: str, fault: str | None
) -> None:
    made: dict[str, Any] = {**BOTH, "release": release, **changed}
    assert Buckets((1024, 1024), **made).fault() == fault


@pytest.mark.parametrize("size", [(60, 4000), (4000, 60), (63, 63), (20000, 100)])
def test_a_picture_thinner_than_a_step_stops_sd_scripts(size: tuple[int, int]) -> None:
    made = Buckets((512, 512), **BOTH, no_upscale=True)
    with pytest.raises(Refused, match="shorter than bucket_reso_steps"):
        made.place(*size)


def test_without_buckets_and_cache_nothing_is_scaled() -> None:
    made = of({})
    assert made.place(1024, 1024).bucket == (1024, 1024)
    with pytest.raises(Refused, match="larger than 1024 x 1024"):
        made.place(2000, 1024)
    with pytest.raises(Refused, match="smaller than 1024 x 1024"):
        of({"random_crop": True}).place(2000, 1023)
    cut = of({"random_crop": True}).place(2000, 1024)
    assert (cut.scaled, cut.bucket, cut.cropped) == ((2000, 1024), (1024, 1024), (976, 0))


@pytest.mark.parametrize(
    ("dataset", "train", "how"),
    [
        ({}, {"cache_latents": True}, {}),
        ({}, {"cache_latents_to_disk": True}, {}),
        ({"enable_bucket": True}, {}, {}),
        ({}, {}, {"is_whole": False}),
        ({"face_crop_aug_range": [1.0, 1.0]}, {}, {}),
    ],
)
def test_else_a_large_picture_is_scaled(
    dataset: dict[str, Any], train: dict[str, Any], how: dict[str, Any]
) -> None:
    assert of(dataset, train, **how).place(2048, 2048).scaled == (1024, 1024)


def test_small_pictures_are_left_out_where_the_release_can() -> None:
    asked = {"enable_bucket": True, "skip_image_resolution": [512, 768]}
    newest, older = of(asked, release="v0.11.1"), of(asked, release="v0.10.1")
    assert newest.skips(512, 768)
    assert newest.skips(100, 3000)  # by area
    assert not newest.skips(512, 769)
    assert not older.skips(10, 10)


def test_a_script_says_what_the_step_must_be_a_multiple_of() -> None:
    asked = {"enable_bucket": True, "bucket_reso_steps": 96}
    assert of(asked).fault() is None
    assert of(asked, script="train_network.py").fault()
