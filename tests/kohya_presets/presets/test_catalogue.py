"""Presets are found by name in order, by path anywhere, and without a heavy import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kohya_presets.errors import PresetError, UserError
from kohya_presets.presets import catalogue, preset
from kohya_presets.presets.catalogue import SHIPPED, Catalogue
from tests.sheets import GOOD, SHIPPED_NAMES, Make, extending, spoiled
from wrapper.system import proc

HEAVY = ("toml", "tomlkit", "rich", "torch", "click", "safetensors", "huggingface_hub")


def test_the_shipped_presets_are_the_guides_five(shipped: Catalogue) -> None:
    assert tuple(sorted(shipped.names())) == SHIPPED_NAMES


def test_a_folder_before_another_hides_its_presets_of_the_same_name(tmp_path: Path) -> None:
    first, second = tmp_path / "presets", tmp_path / "user"
    for folder, rank in ((first, 1), (second, 2)):
        folder.mkdir()
        text = spoiled(('"mine"', '"skynet"'), ("dim = 8", f"dim = {rank}"))
        (folder / "skynet.toml").write_text(text, "utf-8")
    found = catalogue.standard(second, here=tmp_path)
    assert found.folders == (first, second, SHIPPED)
    assert found.load("skynet").extract == {"dim": 1}
    assert found.names()["skynet"] == first / "skynet.toml"
    assert len(found.names()) == len(SHIPPED_NAMES)


def test_each_folders_preset_may_extend_the_next_ones_of_its_name(tmp_path: Path) -> None:
    first, second = tmp_path / "presets", tmp_path / "user"
    for folder, epochs in ((first, 1), (second, 2)):
        folder.mkdir()
        change = ("learning_rate = 1e-6", f"max_train_epochs = {epochs}")
        (folder / "skynet.toml").write_text(extending("skynet", spoiled(change)), "utf-8")
    found = catalogue.standard(second, here=tmp_path).load("skynet")
    assert found.train["max_train_epochs"] == 1
    assert (
        found.train["learning_rate"] == Catalogue((SHIPPED,)).load("skynet").train["learning_rate"]
    )
    assert len(found.extends) == 2


def test_the_users_folder_may_be_the_one_at_hand(tmp_path: Path) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "skynet.toml").write_text(extending("skynet"), "utf-8")
    assert catalogue.standard(folder, here=tmp_path).load("skynet").extract["dim"] == 8


def test_a_path_is_taken_as_it_is(make: Make, tmp_path: Path) -> None:
    make(skynet=GOOD)
    file = tmp_path / "presets ü" / "skynet.toml"
    assert Catalogue(()).load(str(file)).file == file


def test_the_head_of_a_preset_is_read_without_its_settings(make: Make) -> None:
    text = extending("skynet", spoiled(("learning_rate", "learning_rat")))
    head = make(mine=text).head("mine")
    assert (head["name"], head["title"], head["vram_gib"]) == ("mine", "Mine", 80)


def test_the_head_of_a_misshapen_preset_is_an_error(make: Make) -> None:
    with pytest.raises(PresetError):
        make(mine=spoiled(("[train]", "[trian]"))).head("mine")


def test_the_head_of_an_orphan_is_an_error_with_its_line(make: Make) -> None:
    with pytest.raises(PresetError) as caught:
        make(mine=extending("skynt")).head("mine")
    assert [(p.code, p.where.line) for p in caught.value.problems] == [("unknown-preset", 5)]


def test_a_missing_preset_suggests_a_near_one(shipped: Catalogue) -> None:
    with pytest.raises(UserError) as caught:
        shipped.load("skyne")
    assert caught.value.hint == "Did you mean 'skynet'?"


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no preset file"):
        Catalogue(()).load(str(tmp_path / "gone.toml"))


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_same_preset_same_bytes(name: str, shipped: Catalogue) -> None:
    code = (
        "import sys; from kohya_presets.presets import preset\n"
        "from kohya_presets.presets.catalogue import *\n"
        "text = preset.to_toml(Catalogue((SHIPPED,)).load(sys.argv[1]))\n"
        "sys.stdout.buffer.write(text.encode())"
    )
    elsewhere = proc.run([sys.executable, "-c", code, name], env={"PYTHONHASHSEED": "7"})
    assert elsewhere.stdout == preset.to_toml(shipped.load(name))


@pytest.mark.parametrize("then", ["", "; c.Catalogue((c.SHIPPED,)).load('skynet')"])
def test_the_catalogue_needs_the_standard_library_only(then: str) -> None:
    code = (
        f"import sys, kohya_presets.presets.catalogue as c{then}\n"
        f"print(*(name for name in {HEAVY} if name in sys.modules))"
    )
    assert proc.run([sys.executable, "-c", code]).stdout.split() == []
