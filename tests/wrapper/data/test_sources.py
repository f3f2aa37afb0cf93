"""What a user may give to `dataset check`, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import releases
from kohya_presets.validate.report import Against
from wrapper.data import sources

AGAINST = Against(releases.DEFAULT)


def images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


def test_several_folders_are_datasets_of_their_own(shipped: Catalogue, tmp_path: Path) -> None:
    names = [str(images(tmp_path / name)) for name in ("a", "b")]
    found = sources.subsets(names, shipped, AGAINST)
    assert [(s.folder, s.dataset) for s in found] == [(tmp_path / "a", 0), (tmp_path / "b", 1)]
    assert found[0].settings.sides() == (1024, 1024)


def test_a_preset_has_its_own_settings(shipped: Catalogue, tmp_path: Path) -> None:
    data = images(tmp_path / "a")
    (found,) = sources.subsets(["a6000"], shipped, AGAINST, data=data)
    assert found.repeats == 2


def test_a_training_config_and_its_dataset_config_are_one(
    shipped: Catalogue, tmp_path: Path
) -> None:
    images(tmp_path / "a")
    train, dataset = tmp_path / "config.toml", tmp_path / "dataset.toml"
    train.write_text('network_module = "networks.lora"\ntrain_batch_size = 3\n', "utf-8")
    dataset.write_text('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "a"\n', "utf-8")
    (found,) = sources.subsets([str(train), str(dataset)], shipped, AGAINST)
    assert found.folder == tmp_path / "a"
    assert found.settings.dataset("batch_size") == 3


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["skynet"], "skynet is a preset"),
        (["gone"], "there is no folder and no preset 'gone'"),
        (["gone.toml"], "there is no gone.toml"),
        (["skynet", "lion"], "there is no skynet"),
    ],
)
def test_what_is_no_source_is_refused_with_the_way_out(
    names: list[str], why: str, shipped: Catalogue
) -> None:
    with pytest.raises(UserError, match=why) as refused:
        sources.subsets(names, shipped, AGAINST)
    assert refused.value.hint or "preset" in why
