"""A run's dataset config: from a folder, from folders like 10_name, or from another config."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
import toml
from PIL import Image

from kohya_presets.dataset import rendered
from kohya_presets.errors import UserError
from kohya_presets.files import render
from kohya_presets.files.render import Paths
from kohya_presets.presets.catalogue import Catalogue


def paths(data: Path) -> Paths:
    return Paths(data, PurePath("base.safetensors"), Path("out"), "korra", Path("dataset.toml"))


def images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


def test_a_folder_of_images_is_rendered_as_ever(shipped: Catalogue, tmp_path: Path) -> None:
    made, given = shipped.load("skynet"), paths(images(tmp_path / "10_korra"))
    assert rendered.text(made, given) == render.dataset(made, given)


def test_numbered_folders_are_subsets_with_their_repeats(
    shipped: Catalogue, tmp_path: Path
) -> None:
    for name in ("10_korra woman", "3_naga", "plain", "0_none"):
        images(tmp_path / "img" / name)
    text = rendered.text(shipped.load("skynet"), paths(tmp_path / "img"))
    (dataset,) = toml.loads(text)["datasets"]
    found = [(s["image_dir"], s["num_repeats"], s["class_tokens"]) for s in dataset["subsets"]]
    img = tmp_path / "img"
    assert found == [
        (str(img / "10_korra woman"), 10, "korra woman"),
        (str(img / "3_naga"), 3, "naga"),
    ]
    assert dataset["resolution"] == [1024, 1024]
    assert all(subset["caption_extension"] == ".txt" for subset in dataset["subsets"])


CONFIG = """
[general]
flip_aug = true
[[datasets]]
batch_size = 2
resolution = 768
  [[datasets.subsets]]
  image_dir = "close"
  num_repeats = 4
  [[datasets.subsets]]
  image_dir = "far"
  is_reg = true
[[datasets]]
  [[datasets.subsets]]
  metadata_file = "meta.json"
  image_dir = "close"
"""


def test_a_dataset_config_wins_and_the_preset_fills_what_it_leaves_open(
    shipped: Catalogue, tmp_path: Path
) -> None:
    for name in ("close", "far"):
        images(tmp_path / name)
    (tmp_path / "meta.json").write_text("{}", "utf-8")
    config = tmp_path / "mine.toml"
    config.write_text(CONFIG, "utf-8")
    found = toml.loads(rendered.text(shipped.load("skynet"), paths(config)))
    general = found["general"]
    assert general["flip_aug"] is True
    assert general["resolution"] == [1024, 1024]  # for the second dataset, which says nothing
    assert general["caption_extension"] == ".txt"
    first, second = found["datasets"]
    assert (first["batch_size"], first["resolution"]) == (2, 768)
    close, far = first["subsets"]
    assert close == {"image_dir": str(tmp_path / "close"), "num_repeats": 4}
    assert far == {"image_dir": str(tmp_path / "far"), "is_reg": True}
    (listed,) = second["subsets"]
    assert listed["metadata_file"] == str(tmp_path / "meta.json")


def test_another_file_is_refused_with_the_reason(shipped: Catalogue, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("learning_rate = 1\n", "utf-8")
    with pytest.raises(UserError, match=r"is no dataset config: it has no \[\[datasets\]\]"):
        rendered.text(shipped.load("skynet"), paths(other))
