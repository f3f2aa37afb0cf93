"""A thumbnail is what the trainer sees of a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kohya_presets.dataset.sizes.placement import Placement
from wrapper.data.page import thumbnails
from wrapper.data.page.thumbnails import Box, Wanted

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
PLENTY = 1_000_000


def shown(file: Path, box: Box | None, shape: tuple[int, int], area: int = 10_000) -> Image.Image:
    made = thumbnails.one(Wanted(0, file, box, shape, area, PLENTY))
    assert not made.fault
    image = Image.open(io.BytesIO(made.webp))
    assert image.size == made.size
    return image.convert("RGB")


def striped(width: int, height: int) -> Image.Image:
    """Return a picture whose left fifth is red, whose right fifth is blue, green between."""
    image = Image.new("RGB", (width, height), GREEN)
    image.paste(RED, (0, 0, width // 5, height))
    image.paste(BLUE, (width - width // 5, 0, width, height))
    return image


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 60


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_it_is_cropped_to_the_bucket(ending: str, tmp_path: Path) -> None:
    striped(1000, 400).save(file := tmp_path / f"wide{ending}", quality=95)
    placed = Placement((1000, 400), (400, 400), (1000, 400))
    image = shown(file, placed.box, placed.bucket)
    assert image.size == (100, 100)
    assert near(image.getpixel((3, 50)), GREEN)
    assert near(image.getpixel((96, 50)), GREEN)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_without_a_bucket_all_of_it_is_shown(ending: str, tmp_path: Path) -> None:
    striped(1000, 400).save(file := tmp_path / f"wide{ending}", quality=95)
    image = shown(file, None, (1000, 400))
    assert image.width > 2 * image.height
    assert near(image.getpixel((5, 20)), RED)
    assert near(image.getpixel((image.width - 5, 20)), BLUE)


def test_exif_does_not_turn_it(tmp_path: Path) -> None:
    image = striped(400, 200)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(file := tmp_path / "turned.jpg", exif=exif, quality=95)
    found = shown(file, None, (400, 200))
    assert found.width > found.height
    assert near(found.getpixel((5, found.height // 2)), RED)


def test_what_is_transparent_is_shown_as_the_colour_below(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(file := tmp_path / "clear.png")
    assert near(shown(file, None, (64, 64)).getpixel((30, 30)), RED)


def test_a_small_picture_is_not_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), RED).save(file := tmp_path / "small.png")
    assert shown(file, None, (1024, 1024), area=400_000).size == (40, 40)


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000), (20_000, 2)])
def test_odd_shapes_have_thumbnails_too(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, RED).save(file := tmp_path / "odd.png")
    assert near(shown(file, None, size).getpixel((0, 0)), RED)


@pytest.mark.parametrize("most", [2500, 10_000])
def test_it_has_no_more_bytes_than_it_may(most: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), np.uint8)
    Image.fromarray(noise).save(file := tmp_path / "noise.png")
    made = thumbnails.one(Wanted(0, file, None, (640, 640), 640 * 640, most))
    assert 0 < len(made.webp) <= most


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\nabc"])
def test_what_is_no_picture_has_a_fault(content: bytes, tmp_path: Path) -> None:
    (file := tmp_path / "none.png").write_bytes(content)
    assert thumbnails.one(Wanted(0, file, None, (64, 64), 100, PLENTY)).fault


def test_a_truncated_one_too(tmp_path: Path) -> None:
    striped(400, 400).save(whole := tmp_path / "whole.jpg")
    (file := tmp_path / "half.jpg").write_bytes(whole.read_bytes()[:3000])
    assert "truncated" in thumbnails.one(Wanted(0, file, None, (400, 400), 100, PLENTY)).fault


def test_many_come_in_the_order_in_which_they_are_wanted(tmp_path: Path) -> None:
    colours = [(20 * n, 255 - 20 * n, 0) for n in range(12)]
    wanted = []
    for number, colour in enumerate(colours):
        Image.new("RGB", (32, 32), colour).save(file := tmp_path / f"{number}.png")
        wanted.append(Wanted(100 - number, file, None, (32, 32), 1024, PLENTY))
    told: list[tuple[int, int]] = []
    made = thumbnails.make(wanted, on_progress=lambda *counts: told.append(counts), cores=2)
    assert [one.number for one in made] == [one.number for one in wanted]
    for one, colour in zip(made, colours, strict=True):
        assert near(Image.open(io.BytesIO(one.webp)).convert("RGB").getpixel((9, 9)), colour)
    assert told == [(n, 12) for n in range(1, 13)]
