"""Headers of sound, odd and broken files, and that no pixel is decoded for them."""

from __future__ import annotations

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from tests.wrapper.data import odd_pictures
from wrapper.data.reading import headers

# What is said of each of these odd files; all else is as of a plain picture.
SAID: dict[str, dict[str, Any]] = {
    "without its last byte.jpg": {"fault": None},  # only the pixels tell
    "cut in its header.jpg": {"format": "JPEG", "fault": "Truncated File Read"},
    "cut in its header.png": {"format": "PNG", "fault": "Truncated File Read"},
    "empty.jpg": {"format": None, "fault": "the file is empty"},
    "text.png": {"format": None, "fault": "not a picture", "unsupported": False},
    "page.jpg": {"format": None, "fault": "not a picture"},
    "pointer.png": {"format": None, "fault": "not a picture"},
    "webp in truth.jpg": {"format": "WEBP", "extension_format": "JPEG", "misnamed": True},
    "jpeg in truth.png": {"format": "JPEG", "extension_format": "PNG", "misnamed": True},
    "avif in truth.jpg": {"format": "AVIF", "misnamed": True},
    "heic in truth.jpg": {"format": "HEIF", "misnamed": True},
    "UPPER CASE.JPG": {"format": "JPEG", "misnamed": False},
    "no ending": {"format": "JPEG", "extension_format": None, "misnamed": False},
    "picture.jxl": {"format": "JXL", "fault": "JXL cannot be read here", "unsupported": True},
    "16 bits grey.png": {"bits": 16, "mode": "I;16"},
    "16 bits.png": {"bits": 16, "mode": "RGB"},
    "16 bits grey.tif": {"bits": 16},
    "1 bit.png": {"bits": 1},
    "4 bits grey.png": {"bits": 4, "mode": "L"},
    "float.tif": {"bits": 32, "mode": "F"},
    "cmyk.jpg": {"mode": "CMYK", "cmyk": True},
    "grey.jpg": {"mode": "L", "cmyk": False, "palette": False},
    "palette.png": {"palette": True, "transparent": False},
    "palette transparent.png": {"palette": True, "transparent": True},
    "palette with alphas.png": {"palette": True, "transparent": True},
    "one colour transparent.png": {"mode": "RGB", "transparent": True},
    "alpha.png": {"mode": "RGBA", "transparent": True},
    "alpha.webp": {"transparent": True},
    "transparent.gif": {"transparent": True},
    "animated.gif": {"frames": 3, "animated": True},
    "animated.webp": {"frames": 3, "animated": True},
    "animated.png": {"frames": 3, "animated": True},
    "with a second picture.jpg": {"format": "JPEG", "animated": False, "misnamed": False},
    "turned 6.jpg": {"orientation": 6, "size": (96, 64), "upright_size": (64, 96)},
    "turned 8.png": {"orientation": 8},
    "turned 6.webp": {"orientation": 6},
    "turned 99.jpg": {"orientation": 1},
    "nonsense exif.jpg": {"orientation": 1, "fault": None},
    "srgb profile.jpg": {"icc": "sRGB built-in", "icc_srgb": True},
    "adobe profile.jpg": {"icc": "Wide RGB like Adobe's", "icc_srgb": False},
    "p3 profile.png": {"icc_srgb": False},
    "broken profile.jpg": {"icc": "a profile that cannot be read", "icc_srgb": False},
    "one pixel.png": {"size": (1, 1), "fault": None},
    "huge in its header.png": {"size": (100_000, 100_000)},
    "hole.png": {"fault": None},
    "bytes behind.jpg": {"fault": None},
}
BROKEN = {  # by their headers alone
    *("cut in its header.jpg", "cut in its header.png", "cut in half.webp", "cut in half.avif"),
    *("beginning only.jpg", "signature only.png", "empty.jpg", "empty.png", "zeros.jpg"),
    *("text.png", "page.jpg", "drawing.svg", "drawing.png", "film.webp", "archive.jpg"),
    *("._resource.jpg", "pointer.png", "picture.jxl", "picture.heif", "no width.png"),
    *("huge in its header.png", "wrong checksum.png", "text bomb.png"),
}


@pytest.mark.parametrize("name", SAID)
def test_an_odd_file_is_told_as_what_it_is(name: str, tmp_path: Path) -> None:
    written = odd_pictures.write(tmp_path, [name])
    if not written:
        pytest.skip("this Pillow cannot make it")
    (header,) = headers.read(written.values())
    assert {key: getattr(header, key) for key in SAID[name]} == SAID[name]
    assert header.bytes == written[name].stat().st_size


def test_there_are_at_least_60_odd_files_and_the_broken_are_told(tmp_path: Path) -> None:
    written = odd_pictures.write(tmp_path)
    assert len(odd_pictures.ODD) >= 60
    found = {header.file.name: header for header in headers.read(written.values())}
    assert {name for name, header in found.items() if header.fault} == BROKEN & {*written}


def test_good_pictures_have_no_fault_and_nothing_odd(tmp_path: Path) -> None:
    for header in headers.read(odd_pictures.good(tmp_path, 200)):
        assert header.fault is None
        assert (header.misnamed, header.cmyk, header.palette) == (False, False, False)
        assert (header.bits, header.frames, header.orientation, header.icc) == (8, 1, 1, None)
        assert not header.transparent


def test_no_pixel_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("decoded")

    files = odd_pictures.write(tmp_path)
    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    assert len(list(headers.read(files.values()))) == len(files)


def test_a_folder_a_missing_file_and_a_pipe_have_a_fault(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    files = [tmp_path / "x.png", tmp_path / "missing.png"]
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.png")
        files.append(tmp_path / "pipe.png")
    said = [header.fault for header in headers.read(files)]
    expected = ["a folder, not a file", "the file does not exist", "a device or a pipe, not a file"]
    assert said == expected[: len(files)]


def test_pillows_limit_is_as_before_and_nothing_is_warned_of(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    files = odd_pictures.write(tmp_path, ["huge in its header.png", "nonsense exif.jpg"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        huge, _ = headers.read(files.values())
    assert huge.fault == "100000 x 100000 pixels: Pillow opens no more than 178956970 pixels"
    assert limit == Image.MAX_IMAGE_PIXELS


def test_pillows_limit_is_as_before_also_with_several_threads(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    files = [*odd_pictures.good(tmp_path, 200)] * 10
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(headers.one, files)]
    assert len(found) == 2000
    assert limit == Image.MAX_IMAGE_PIXELS
