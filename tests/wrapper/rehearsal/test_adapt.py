from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.dataset import subsets
from kohya_presets.files import image_folder
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.training.settings import Settings
from wrapper.rehearsal import adapt, pictures


@pytest.mark.parametrize("name", ["a6000", "lion", "skynet"])
def test_everything_that_differs_is_said(name: str, shipped: Catalogue) -> None:
    preset = shipped.load(name)
    adapted, changes = adapt.adapt(preset, images=6)
    said = {change.key: (change.was, change.now) for change in changes}
    for table in ("train", "dataset", "extract", "resize"):
        was, now = preset.tables.get(table, {}), adapted.tables.get(table, {})
        different = {k for k in was.keys() | now.keys() if was.get(k) != now.get(k)}
        assert different == {key.split(".")[1] for key in said if key.startswith(f"{table}.")}
        for key in different:
            assert said[f"{table}.{key}"] == (was.get(key), now.get(key))


def test_what_needs_a_gpu_is_replaced(shipped: Catalogue) -> None:
    wishes = ("train.xformers=true", "train.full_fp16=true", "extract.device=cuda")
    adapted, _ = adapt.adapt(shipped.load("a6000", overrides=wishes), images=6)
    assert adapted.train["optimizer_type"] == "AdamW"
    assert adapted.train["mixed_precision"] == "no"
    assert not adapted.train.keys() & {"xformers", "full_fp16"}
    assert adapted.extract is not None
    assert adapted.extract["device"] == "cpu"
    assert adapted.train["gradient_accumulation_steps"] == 3


@pytest.mark.parametrize(
    ("images", "settings", "epochs"),
    [
        (6, (), 2),
        (24, (), 1),
        (1, (), 12),
        (6, ("dataset.num_repeats=2", "train.gradient_accumulation_steps=3"), 3),
        (6, ("dataset.batch_size=4",), 6),
    ],
)
def test_epochs_make_about_twelve_steps(
    images: int, settings: tuple[str, ...], epochs: int, shipped: Catalogue
) -> None:
    preset = shipped.load("skynet", overrides=settings)
    assert adapt.adapt(preset, images)[0].train["max_train_epochs"] == epochs


@pytest.mark.parametrize(("given", "rehearsed"), [(100, 3), (3, 3), (0.1, 0.1)])
def test_a_warm_up_is_shorter_than_the_rehearsal(
    given: float, rehearsed: float, shipped: Catalogue
) -> None:
    wishes = ("train.lr_scheduler=cosine", f"train.lr_warmup_steps={given}")
    adapted, changes = adapt.adapt(shipped.load("skynet", overrides=wishes), images=6)
    assert adapted.train["lr_warmup_steps"] == rehearsed
    assert ("train.lr_warmup_steps" in {change.key for change in changes}) == (given == 100)


def test_images_are_drawn_alike_each_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        pictures.draw(tmp_path / folder)
    found = image_folder.scan(tmp_path / "a")
    assert len(found.images) == pictures.COUNT
    assert not list(image_folder.problems(found))
    for image in found.images:
        assert image.read_bytes() == (tmp_path / "b" / image.name).read_bytes()


def test_of_many_images_some_are_copied_with_their_captions(tmp_path: Path) -> None:
    pictures.draw(tmp_path / "many", count=30)
    many = subsets.of_folder(
        Settings({"train": {}, "dataset": {"caption_extension": ".txt"}}), tmp_path / "many"
    )
    pictures.copy_some(many, tmp_path / "some", ".txt")
    assert len(image_folder.scan(tmp_path / "some").images) == pictures.MOST
    assert not list(image_folder.problems(image_folder.scan(tmp_path / "some")))
