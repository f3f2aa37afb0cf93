"""A patch of the user's own adds options and optimizers as ours do: validate knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.explain import lookup
from kohya_presets.gui import export
from kohya_presets.validate import everything
from kohya_presets.validate.report import Against
from patches import registry
from tests.sheets import Make, spoiled

PATCH = """\
format = 1
[patch]
name = "sophia"
summary = "The optimizer Sophia"
optimizers = ["Sophia"]
[[option]]
name = "sophia_rho"
type = "float"
default = 0.04
scripts = ["sdxl_train.py"]
[[option]]
name = "sophia_mode"
type = "str"
choices = ["fast", "exact"]
scripts = ["sdxl_train.py"]
"""
TRAIN = ('optimizer_type = "AdamW"', 'optimizer_type = "Sophia"\nsophia_rho = 0.1')
PATCHED = ('releases = ">=0.7.1"', 'releases = ">=0.7.1"\npatches = ["sophia"]')


@pytest.fixture
def here(tmp_path: Path) -> Against:
    folder = tmp_path / "patches" / "sophia"
    folder.mkdir(parents=True)
    (folder / "patch.toml").write_text(PATCH, "utf-8")
    return Against("v0.10.1", additions=registry.additions(tmp_path / "patches"))


def errors(make: Make, here: Against, *changes: tuple[str, str]) -> list[tuple[str, str | None]]:
    report = everything.preset("mine", make(mine=spoiled(*changes)), here)
    return [(p.code, p.where.key) for p in report.problems if p.severity == "error"]


def test_its_options_and_optimizer_are_known(make: Make, here: Against) -> None:
    assert errors(make, here, TRAIN, PATCHED) == [("extract-sdxl", "extract.sdxl")]


def test_without_it_each_says_which_patch_it_comes_with(make: Make, here: Against) -> None:
    assert errors(make, here, TRAIN)[:2] == [
        ("missing-patch", "train.sophia_rho"),
        ("unknown-optimizer", "train.optimizer_type"),
    ]


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("sophia_rho = 'x'", "wrong-type"),
        ("sophia_mode = 'fest'", "wrong-choice"),
        ("sophia_roh = 0.1", "unknown-option"),
    ],
)
def test_its_types_choices_and_names_are_checked(
    setting: str, code: str, make: Make, here: Against
) -> None:
    change = (TRAIN[0], f'optimizer_type = "Sophia"\n{setting}')
    assert code in [found for found, _ in errors(make, here, change, PATCHED)]


def test_an_optimizer_that_a_patch_does_not_add_is_unknown(make: Make, here: Against) -> None:
    change = (TRAIN[0], 'optimizer_type = "Sophie"')
    assert ("unknown-optimizer", "train.optimizer_type") in errors(make, here, change, PATCHED)


def test_explain_and_the_gui_export_know_them(make: Make, here: Against) -> None:
    (entry,) = lookup.option("sophia_rho", here.additions).entries
    assert (entry.patch, entry.default) == ("sophia", 0.04)
    preset = make(mine=spoiled(TRAIN, PATCHED)).load("mine")
    exported = export.export(preset, "v25.2.1", here.additions)
    assert "--sophia_rho=0.1" in exported.values["additional_parameters"]
