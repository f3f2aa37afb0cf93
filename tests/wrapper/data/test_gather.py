"""Images and captions as they are gathered: the same from the cache as from the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.dataset import subsets
from kohya_presets.dataset.subsets import Subset
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.training.settings import Settings
from tests.wrapper.data import odd_pictures
from wrapper.data import gather
from wrapper.data.reading.cache import Cache

TINY = Tokenizer((("r", "a</w>"), ("k", "o")))
DATASET = {"resolution": [64, 64], "enable_bucket": True, "min_bucket_reso": 64}


def subset(folder: Path, **dataset: object) -> tuple[Subset, ...]:
    tables = {"train": {}, "dataset": {**DATASET, "caption_extension": ".txt", **dataset}}
    return subsets.of_folder(Settings(tables), folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "images"
    for number, file in enumerate(odd_pictures.good(made, 9)):
        file.with_suffix(".txt").write_text(f"korra {number}, smiling", "utf-8")
    odd_pictures.write(made, ["turned 6.jpg", "alpha.png"])
    (made / "twice.jpg").write_bytes((made / "good 0000.jpg").read_bytes())
    return made


def test_a_second_look_tells_the_same(folder: Path, tmp_path: Path) -> None:
    made = subset(folder)
    plain = gather.with_pixels(gather.collect(made, tokenizer=TINY, trigger="korra"))
    with Cache(tmp_path / "cache.sqlite") as cache:
        for _ in range(2):
            found = gather.collect(made, tokenizer=TINY, trigger="korra", cache=cache)
            assert gather.with_pixels(found, cache) == plain
    assert [[f.name for f in group.files] for group in plain.groups if group.exact] == [
        ["good 0000.jpg", "twice.jpg"]
    ]


def test_a_changed_file_is_looked_at_again(folder: Path, tmp_path: Path) -> None:
    made, image = subset(folder), folder / "good 0001.png"
    with Cache(tmp_path / "cache.sqlite") as cache:
        gather.collect(made, cache=cache)
        Image.new("RGB", (300, 200)).save(image)
        os.utime(image, ns=(1, 1))
        found = gather.collect(made, cache=cache)
    (item,) = (item for item in found.items if item.file == image)
    assert item.header.size == (300, 200)


def test_a_changed_length_of_captions_is_counted_again(folder: Path, tmp_path: Path) -> None:
    with Cache(tmp_path / "cache.sqlite") as cache:
        lost = []
        for length in (None, 150):
            (made,) = subset(folder)
            tables = {**made.settings.tables, "train": {"max_token_length": length}}
            train = {} if length is None else tables["train"]
            settings = Settings({**tables, "train": train})
            (folder / "good 0000.txt").write_text("ko " * 100, "utf-8")
            found = gather.collect(subsets.of_folder(settings, folder), tokenizer=TINY, cache=cache)
            lost.append(max(i.counted.lost for i in found.items if i.counted))
        assert lost == [125, 50]  # of 200, for the tiny vocabulary


def test_an_image_has_the_words_of_its_folder_or_its_listing(tmp_path: Path) -> None:
    inside = tmp_path / "img" / "3_naga woman"
    inside.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(inside / "a.png")
    (item,) = gather.collect(subset(tmp_path / "img")).items
    assert (item.text, item.caption) == ("naga woman", None)


def test_what_lies_beside_the_images_is_kept_apart(folder: Path) -> None:
    (folder / "orphan.txt").write_text("x", "utf-8")
    found = gather.collect(subset(folder))
    beside = {file.name for file in found.beside[0]}
    assert "orphan.txt" in beside
    assert not beside & {item.file.name for item in found.items}
