"""What the pixels of one file say."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.wrapper.data import odd_pictures
from tests.wrapper.data.odd_pictures import drawn, encoded
from wrapper.data.reading import headers, measure

CUT = [
    *("cut in half.jpg", "without its last byte.jpg", "without its last kilobyte.jpg"),
    *("cut progressive.jpg", "cut in half.png", "without its end.png", "cut in half.gif"),
    *("cut in half.bmp", "cut in half.tif"),
]


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_ends_too_early_is_truncated(name: str, tmp_path: Path) -> None:
    file = odd_pictures.write(tmp_path, [name])[name]
    found = measure.one(file)
    assert found.truncated, found.fault
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(300, 200), (1500, 1100), (4500, 2200)])
def test_a_draft_of_a_jpeg_tells_truncation_as_decoding_in_full_does(
    size: tuple[int, int], progressive: bool, tmp_path: Path
) -> None:
    """At full size, a half, a quarter: `draft` saves no reading."""
    data = encoded(drawn(1, size), "JPEG", quality=90, progressive=progressive)
    file = tmp_path / "a.jpg"
    file.write_bytes(data)
    assert measure.one(file).fault is None
    for cut in (1, 2, 10, 500, len(data) // 3, len(data) // 2):
        file.write_bytes(data[:-cut])
        with pytest.raises(OSError, match="truncated"), Image.open(file) as image:
            image.load()
        assert measure.one(file).truncated, cut


def test_what_sd_scripts_could_decode_has_no_fault_and_what_not_has_one(tmp_path: Path) -> None:
    """By decoding in full, as its load_image does."""
    for name, file in odd_pictures.write(tmp_path).items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(file) as image:
                    np.asarray(image.convert("RGB"), np.uint8)
            loads = True
        except headers.FAULTS:
            loads = False
        assert (measure.one(file).fault is None) == loads, name


def test_good_pictures_have_no_fault(tmp_path: Path) -> None:
    files = odd_pictures.good(tmp_path, 200)
    found = measure.several(files)
    assert [one.file for one in found] == files
    assert not [one.fault for one in found if one.fault]
    assert len({one.hash for one in found}) > 190


def test_a_missing_file_and_a_folder_have_a_fault_and_no_digest(tmp_path: Path) -> None:
    missing, folder = measure.several([tmp_path / "none.png", tmp_path])
    assert (missing.sha256, missing.fault) == ("", "the file does not exist")
    assert folder.fault
    assert not folder.sha256


def test_a_blurred_picture_is_less_sharp_and_a_dark_one_less_bright(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    image = Image.fromarray(dice.integers(0, 256, (512, 512, 3), np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(1))
    made = {
        "plain": image,
        "soft": image.filter(ImageFilter.GaussianBlur(4)),
        "dark": image.point([v // 3 for v in range(256)] * 3),
        "grey": image.convert("L").convert("RGB"),
    }
    for name, one in made.items():
        one.save(tmp_path / f"{name}.png")
    found = {name: measure.one(tmp_path / f"{name}.png") for name in made}
    assert found["soft"].sharpness < found["plain"].sharpness / 20
    assert found["dark"].brightness == pytest.approx(found["plain"].brightness / 3, abs=0.01)
    assert found["grey"].colourfulness < 0.01 < found["plain"].colourfulness


def test_the_size_changes_the_measures_little(tmp_path: Path) -> None:
    image = drawn(3, (2000, 1500))
    image.save(tmp_path / "large.jpg", quality=95)
    image.resize((640, 480)).save(tmp_path / "small.jpg", quality=95)
    large, small = measure.several([tmp_path / "large.jpg", tmp_path / "small.jpg"])
    assert large.brightness == pytest.approx(small.brightness, abs=0.005)
    assert large.colourfulness == pytest.approx(small.colourfulness, rel=0.05)
    assert (int(large.hash, 16) ^ int(small.hash, 16)).bit_count() <= 4


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("all transparent.png", 1.0),
        ("alpha.png", 0.5),
        ("grey alpha.png", 0.5),
        ("palette with alphas.png", 0.6),
        ("one colour transparent.png", 0.0),
        ("palette.png", 0.0),
    ],
)
def test_the_transparent_share_is_told(name: str, share: float, tmp_path: Path) -> None:
    found = measure.one(odd_pictures.write(tmp_path, [name])[name])
    assert found.transparent == pytest.approx(share, abs=0.05)


def test_16_bits_are_seen_as_a_viewer_shows_them(tmp_path: Path) -> None:
    """Not white, as a conversion that cuts off would have them."""
    written = odd_pictures.write(tmp_path, ["16 bits grey.png", "16 bits.png"])
    for file in written.values():
        assert measure.one(file).brightness == pytest.approx(0.5, abs=0.02)
