"""Near duplicates are found, and what only looks alike is not."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from kohya_presets.dataset.alike import dct_hash, likeness
from kohya_presets.dataset.picture import Pixels
from tests.wrapper.data.odd_pictures import drawn, encoded

SIZE = (200, 160)
KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda i: i,
    "smaller": lambda i: i.resize((90, 70)),
    "blurred": lambda i: i.filter(ImageFilter.GaussianBlur(3)),
    "darker": lambda i: i.point([v // 2 for v in range(256)] * 3),
    "cropped at the left and below": lambda i: i.crop((16, 0, 200, 144)),
    "cropped at all sides": lambda i: i.crop((10, 8, 190, 152)),
    "with a border": lambda i: ImageOps.expand(i, 12, "black"),
    "with bars": lambda i: ImageOps.expand(i, (0, 16), "black"),
    "squeezed": lambda i: i.resize((120, 160)),
    "grey": lambda i: ImageOps.grayscale(i).convert("RGB"),
    "mirrored": ImageOps.mirror,
    "mirrored, then cropped at the right": lambda i: ImageOps.mirror(i).crop((0, 0, 184, 150)),
}


def thumbnail(image: Image.Image) -> likeness.Thumbnails:
    small = image.convert("L").resize((dct_hash.SIDE, dct_hash.SIDE), Image.Resampling.BOX)
    return np.asarray(small)


def pixels(name: str, image: Image.Image, sha256: str = "") -> Pixels:
    greys = thumbnail(image)
    text = base64.b64encode(greys.tobytes()).decode()
    return Pixels(Path(name), sha256 or name, thumbnail=text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_picture_is_near(kind: str, number: int) -> None:
    image = drawn(number, SIZE)
    pair = np.stack([thumbnail(image), thumbnail(KINDS[kind](image))])
    found = list(likeness.near(pair))
    assert [(n.one, n.other, n.mirrored) for n in found] == [(0, 1, "mirrored" in kind)]
    assert found[0].bits <= likeness.FINE


def test_pictures_of_their_own_are_not_near() -> None:
    assert not list(likeness.near(np.stack([thumbnail(drawn(n, SIZE)) for n in range(200)])))


def test_the_same_pair_is_told_once_even_if_found_in_several_ways() -> None:
    image = drawn(1, SIZE)
    symmetric = Image.blend(image, ImageOps.mirror(image), 0.5)  # near itself mirrored too
    found = list(likeness.near(np.stack([thumbnail(symmetric)] * 2)))
    assert {(n.one, n.other) for n in found} == {(0, 1)}
    assert len(found) == 1


def test_the_mirrored_hash_is_that_of_the_mirrored_picture() -> None:
    made = np.stack([thumbnail(drawn(n, SIZE)) for n in range(50)])
    plain, turned = dct_hash.hashes(made), dct_hash.hashes(made[:, :, ::-1])
    differing = dct_hash.count_bits(dct_hash.mirrored(plain) ^ turned)
    assert differing.max() <= 2  # a frequency of about 0 may fall on either side
    assert plain.dtype == np.uint64
    assert len(set(plain.tolist())) == 50


def test_flat_pictures_are_never_near() -> None:
    flat = np.full((3, 32, 32), 128, np.uint8)
    flat[1] += np.random.default_rng(1).integers(0, 3, (32, 32), np.uint8)
    assert not list(likeness.near(flat))


def test_none_and_one_have_no_pairs() -> None:
    assert not list(likeness.near(np.empty((0, 32, 32), np.uint8)))
    assert not list(likeness.near(thumbnail(drawn(1))[None]))
    assert likeness.groups([]) == ()


def test_pairs_across_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "ROWS", 7)
    monkeypatch.setattr(likeness, "AT_ONCE", 3)
    made = np.stack([thumbnail(drawn(n % 20, SIZE)) for n in range(60)])
    found = {(n.one, n.other) for n in likeness.near(made)}
    assert found == {(a, b) for a in range(60) for b in range(a + 1, 60) if a % 20 == b % 20}


def test_counting_without_numpy_2_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(0).integers(0, 2**64, (5, 4), np.uint64)
    expected = [[int(word).bit_count() for word in row] for row in words]
    assert dct_hash.count_bits(words).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert dct_hash.count_bits(words).tolist() == expected


def test_groups_join_what_is_exact_and_what_is_near() -> None:
    image, other = drawn(1, SIZE), drawn(2, SIZE)
    made = [
        pixels("a.png", image, "A"),
        pixels("other.png", other),
        pixels("same as a.png", image, "A"),
        pixels("small a.png", image.resize((80, 64))),
        pixels("alone.png", drawn(3, SIZE)),
        pixels("other mirrored.png", ImageOps.mirror(other)),
    ]
    first, second = likeness.groups(made)
    assert [file.name for file in first.files] == ["a.png", "same as a.png", "small a.png"]
    assert not first.exact
    assert [(link.one.name, link.other.name, link.exact) for link in first.links] == [
        ("a.png", "same as a.png", True),
        ("a.png", "small a.png", False),
    ]
    assert [file.name for file in second.files] == ["other.png", "other mirrored.png"]
    assert second.links[0].mirrored


def test_broken_files_that_are_the_same_are_a_group() -> None:
    broken = [Pixels(Path(f"{n}.jpg"), "B", fault="image file is truncated") for n in "ab"]
    unread = [Pixels(Path(f"{n}.png"), fault="the file may not be read") for n in "cd"]
    (group,) = likeness.groups([*broken, *unread])
    assert [file.name for file in group.files] == ["a.jpg", "b.jpg"]
    assert group.exact


def test_encoding_anew_and_losing_quality_stays_near() -> None:
    image = drawn(5, SIZE)
    poor = Image.open(io.BytesIO(encoded(image, "JPEG", quality=8)))
    assert len(list(likeness.near(np.stack([thumbnail(image), thumbnail(poor)])))) == 1
