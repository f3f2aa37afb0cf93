"""Datasets whose subsets do not go together, and folders that sd-scripts finds no images in."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.validate import config_files
from tests.kohya_presets.validate.subsets import DATASETS, dataset, verdict
from tests.sheets import against

WHOLE = (
    'pretrained_model_name_or_path = "m"\noutput_dir = "o"\nmax_train_epochs = 1\n'
    'cache_latents = true\ncaption_extension = ".txt"\nresolution = "1024,1024"\n'
)
CODES = {"masks-off", "mixed-subsets", "no-masks", "subset-kind"}


def told(text: str, folder: Path, script: str | None = None) -> set[str]:
    (folder / "config.toml").write_text(text, "utf-8")
    report = config_files.file(folder / "config.toml", against("v0.10.1"), script=script)
    return {p.code for p in report.problems if p.severity != "advice"}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", DATASETS)
def test_the_subsets_of_a_dataset_decide_its_kind(name: str, masked: bool, tmp_path: Path) -> None:
    (tmp_path / "ds.toml").write_text(dataset(name), "utf-8")
    text = WHOLE + f'dataset_config = "ds.toml"\nmasked_loss = {str(masked).lower()}\n'
    found = told(text, tmp_path) & (CODES - {"no-masks"})
    assert bool(found) is not verdict(name, masked)


def test_masked_loss_needs_masks(tmp_path: Path) -> None:
    text = WHOLE + 'dataset_config = "ds.toml"\nmasked_loss = true\n'
    for name in ("folders", "masks"):
        (tmp_path / "ds.toml").write_text(dataset(name), "utf-8")
        assert ("no-masks" in told(text, tmp_path)) is (name == "folders")
    alpha = dataset("folders").replace("[[datasets]]", "[general]\nalpha_mask = true\n[[datasets]]")
    (tmp_path / "ds.toml").write_text(alpha, "utf-8")
    assert "no-masks" not in told(text, tmp_path)
    assert "no-masks" in told(WHOLE + 'train_data_dir = "d"\nmasked_loss = true\n', tmp_path)


def test_before_alpha_masks_came_an_image_without_a_mask_stops_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        WHOLE + 'train_data_dir = "d"\nmasked_loss = true\n', "utf-8"
    )
    for release, severity in (("v0.8.7", "error"), ("v0.10.1", "warning")):
        report = config_files.file(tmp_path / "config.toml", against(release))
        (said,) = (p for p in report.problems if p.code == "no-masks")
        assert said.severity == severity


def test_some_scripts_read_one_kind_only(tmp_path: Path) -> None:
    (tmp_path / "ds.toml").write_text(dataset("folders"), "utf-8")
    text = WHOLE + 'dataset_config = "ds.toml"\n'
    assert "subset-kind" in told(text, tmp_path, "fine_tune.py")
    assert "subset-kind" in told(text, tmp_path, "sdxl_train_control_net.py")
    assert "subset-kind" not in told(text, tmp_path, "train_db.py")


@pytest.mark.parametrize("key", ["train_data_dir", "reg_data_dir"])
def test_images_lie_in_numbered_folders(key: str, tmp_path: Path) -> None:
    text = WHOLE + f"{key} = '{tmp_path / 'img'}'\n"
    assert "no-numbered-folder" not in told(text, tmp_path)  # it is on another machine
    (tmp_path / "img").mkdir()
    (tmp_path / "img/a.png").touch()
    assert "no-numbered-folder" in told(text, tmp_path)
    (tmp_path / "img/10_ohwx man").mkdir()
    assert "no-numbered-folder" not in told(text, tmp_path)


@pytest.mark.parametrize("name", ["/data/10_ohwx man", r"D:\data\10_ohwx man", "D:/data/10_a/"])
def test_a_numbered_folder_itself_is_not_the_one_around(name: str, tmp_path: Path) -> None:
    assert "numbered-folder" in told(WHOLE + f"train_data_dir = '{name}'\n", tmp_path)
    assert "numbered-folder" not in told(WHOLE + "train_data_dir = '/data/2024'\n", tmp_path)


def test_a_dataset_config_replaces_both_folders(tmp_path: Path) -> None:
    (tmp_path / "ds.toml").write_text(dataset("folders"), "utf-8")
    text = WHOLE + 'dataset_config = "ds.toml"\nreg_data_dir = "r"\n'
    assert "dataset-config-wins" in told(text, tmp_path)


def test_only_scripts_for_loras_validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where ds.toml is found

    def of(share: float, more: str = "") -> set[str]:
        split = f"[[datasets]]\nvalidation_split = {share}"
        subsets = dataset("folders").replace("[[datasets]]", split)
        (tmp_path / "ds.toml").write_text(subsets, "utf-8")
        return told(WHOLE + 'dataset_config = "ds.toml"\n' + more, tmp_path)

    lora = 'network_module = "networks.lora"\n'
    assert of(0.1) == {"never-validated"}
    assert of(0.1, lora) == set()
    assert of(20.0, lora) == {"validation-share"}
