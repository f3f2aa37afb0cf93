"""Every odd file is found, each with its own codes, and sound ones are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.dataset.tokens import Tokenizer
from tests.kohya_presets.dataset.checks.folders import Made, codes, folder, found, odd
from tests.kohya_presets.dataset.good_captions import TRIGGER, captions
from tests.kohya_presets.dataset.odd_captions import CAPTIONS
from tests.wrapper.data import odd_pictures

# Found in nearly all, since they are single and small: these say nothing of what is odd.
ALWAYS = {"set-size", "image-small", "image-cut"}
ENDED, BROKEN = {"image-truncated"}, {"image-broken"}
UNSEEN = {"image-not-read", "nothing-to-train"}
ALPHA, TURNED, PROFILE = {"image-transparent"}, {"image-turned"}, {"image-profile"}
MISNAMED: set[str] = {"image-misnamed"}
SOUND: set[str] = set()
# What no header shows, and no decoder: libjpeg fills holes with grey and says so to nobody.
UNFOUND = {"hole.jpg"}
PICTURES: dict[str, set[str]] = {
    **dict.fromkeys(("cut in half.jpg", "without its last byte.jpg", "cut progressive.jpg"), ENDED),
    **dict.fromkeys(("without its last kilobyte.jpg", "cut in half.png", "hole.png"), ENDED),
    **dict.fromkeys(("without its end.png", "cut in half.bmp"), ENDED),
    **dict.fromkeys(("cut in its header.jpg", "cut in its header.png", "cut in half.webp"), BROKEN),
    **dict.fromkeys(("beginning only.jpg", "signature only.png", "empty.jpg", "empty.png"), BROKEN),
    **dict.fromkeys(("zeros.jpg", "text.png", "page.jpg", "drawing.png", "film.webp"), BROKEN),
    **dict.fromkeys(("archive.jpg", "pointer.png", "no width.png", "text bomb.png"), BROKEN),
    **dict.fromkeys(("huge in its header.png", "wrong checksum.png"), BROKEN),
    **dict.fromkeys(("cut in half.gif", "cut in half.tif", "cut in half.avif"), UNSEEN),
    **dict.fromkeys(("drawing.svg", "picture.heic", "picture.avif", "picture.jxl"), UNSEEN),
    **dict.fromkeys(("picture.heif", "cmyk.tif", "float.tif", "16 bits grey.tif"), UNSEEN),
    **dict.fromkeys(("lab.tif", "transparent.gif", "animated.gif", "pages.tif"), UNSEEN),
    "no ending": UNSEEN,
    "._resource.jpg": {"nothing-to-train"},  # which is no picture of anybody's
    **dict.fromkeys(("webp in truth.jpg", "png in truth.jpg", "jpeg in truth.png"), MISNAMED),
    **dict.fromkeys(("gif in truth.png", "bmp in truth.jpg", "avif in truth.jpg"), MISNAMED),
    "heic in truth.jpg": MISNAMED | BROKEN,
    "16 bits grey.png": {"image-deep"},
    "cmyk.jpg": {"image-cmyk"},
    **dict.fromkeys(("alpha.png", "alpha.webp", "grey alpha.png", "all transparent.png"), ALPHA),
    **dict.fromkeys(("palette transparent.png", "palette with alphas.png"), ALPHA),
    **{key: {"image-animated"} for key in ("animated.webp", "animated.png")},
    **dict.fromkeys(("turned 3.jpg", "turned 6.jpg", "turned 8.png", "turned 6.webp"), TURNED),
    **dict.fromkeys(("adobe profile.jpg", "p3 profile.png", "broken profile.jpg"), PROFILE),
    # sd-scripts trains these as they look.
    **dict.fromkeys(("UPPER CASE.JPG", "16 bits.png", "1 bit.png", "4 bits grey.png"), SOUND),
    **dict.fromkeys(("grey.jpg", "palette.png", "with a second picture.jpg", "flat.png"), SOUND),
    **dict.fromkeys(("nonsense exif.jpg", "turned 99.jpg", "srgb profile.jpg"), SOUND),
    **dict.fromkeys(("bytes behind.jpg", "one colour transparent.png"), SOUND),
    **dict.fromkeys(("one pixel.png", "a line.png"), SOUND),  # but small, and cut
    "hole.jpg": SOUND,
}
LINES, BLANK, SPACES = {"caption-lines"}, {"caption-blank"}, {"caption-spaces"}
MARK, ENCODING = {"caption-mark"}, {"caption-encoding"}
WRITTEN: dict[str, set[str]] = {
    **dict.fromkeys(("two lines", "two windows lines", "two old mac lines"), LINES),
    "blank lines between": LINES,
    **dict.fromkeys(("first line blank", "one line end", "one windows line end"), BLANK),
    "many blank lines": BLANK,
    **dict.fromkeys(("first line of spaces", "first line of tabs", "one space"), BLANK | SPACES),
    **dict.fromkeys(("spaces around", "tabs around", "no-break spaces around"), SPACES),
    "ideographic space": SPACES,
    **dict.fromkeys(("byte-order mark", "two byte-order marks"), MARK),
    "byte-order mark alone": MARK | BLANK,
    "byte-order mark and a blank line": MARK | BLANK | LINES,
    "empty": {"caption-empty"},
    **dict.fromkeys(("utf-16", "latin-1", "windows-1252", "shift-jis", "gbk"), ENCODING),
    "cut in a letter": ENCODING,
    "wildcards": {"caption-choices-off"} | LINES,
    "long": {"caption-long"} | SPACES,
    "weights": {"caption-weights-off"},
    "json": {"caption-json"},
    # Of these every word is trained: the tokenizer drops control characters and mends the rest.
    **dict.fromkeys(("plain", "line end", "windows line end", "old mac line end"), SOUND),
    **dict.fromkeys(("zero width space", "mark within", "utf-16 without a mark", "utf-8"), SOUND),
    **dict.fromkeys(("emoji", "control characters", "vertical tab", "form feed"), SOUND),
    **dict.fromkeys(("unicode line end", "next line", "file separator", "html"), SOUND),
    "mojibake": SOUND,
}


def test_the_tables_have_every_odd_file() -> None:
    assert set(PICTURES) == set(odd_pictures.ODD)
    assert set(WRITTEN) == set(CAPTIONS)
    assert len(PICTURES) >= 60
    assert len(WRITTEN) >= 40
    assert {name for name, one in PICTURES.items() if not one} >= UNFOUND


@pytest.mark.parametrize("name", PICTURES)
def test_an_odd_picture_is_found_for_what_it_is(name: str, tmp_path: Path) -> None:
    if odd_pictures.ODD[name]() is None:
        pytest.skip("this Pillow cannot make it")
    told = found(Made(odd(tmp_path / "img", name)))
    assert codes(told) - ALWAYS == PICTURES[name]
    for one in told:
        assert all(file.name == name for file in one.finding.files)


@pytest.mark.parametrize("name", WRITTEN)
def test_an_odd_caption_is_found_for_what_it_is(
    name: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    images = folder(tmp_path / "img", CAPTIONS[name], "another lamp")
    told = found(Made(images), tokenizer=tokenizer)
    assert codes(told) - ALWAYS == WRITTEN[name]


@pytest.mark.parametrize("first", [0, 100])
def test_nothing_is_found_on_a_hundred_sound_ones(
    first: int, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """The guide has 150 images at most, so that 200 are two sets."""
    files = odd_pictures.good(tmp_path / "img", 100, first=first, unit=64)
    for file, caption in zip(files, captions(100, first=first), strict=True):
        file.with_suffix(".txt").write_text(caption, "utf-8")
    over = ("dataset.resolution=[256,256]", "dataset.max_bucket_reso=512")
    told = found(Made(tmp_path / "img", over, TRIGGER), tokenizer=tokenizer)
    assert [str(one.problem) for one in told] == []
