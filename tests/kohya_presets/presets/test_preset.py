"""What a preset file may hold, and what each fault of its shape is called, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.presets import preset
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from tests.sheets import GOOD, SHIPPED_NAMES, Make, faults, problems, spoiled


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_shipped_preset_gives_a_reason_for_every_value(name: str, shipped: Catalogue) -> None:
    found = shipped.load(name)
    settings = {f"{table}.{key}" for table, values in found.tables.items() for key in values}
    assert set(found.provenance) == settings
    assert all(reason.startswith(("guide: ", "chosen: ")) for reason in found.provenance.values())
    assert not (found.extract or {}).keys() & {"model_org", "device"}


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_shipped_preset_has_a_complete_header(name: str, shipped: Catalogue) -> None:
    found = shipped.load(name)
    assert found.name == name
    assert all((found.title, found.summary, found.date, found.vram_gib))
    assert (found.script, found.releases) == ("sdxl_train.py", ">=0.7.1")


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_a_resolved_preset_stands_on_its_own(name: str, shipped: Catalogue, tmp_path: Path) -> None:
    found = shipped.load(name)
    alone = tmp_path / f"{name}.toml"
    alone.write_text(preset.to_toml(found), "utf-8")
    again = Catalogue(()).load(str(alone))
    assert again.tables == found.tables
    assert again.provenance == found.provenance
    assert preset.header(again) == preset.header(found)
    assert preset.to_toml(again) == preset.to_toml(found)


def test_provenance_can_be_left_out_of_the_file(shipped: Catalogue) -> None:
    found = shipped.load("skynet")
    settings, reasons = preset.to_toml(found).split("\n[provenance]\n")
    assert preset.to_toml(found, provenance=False) == settings
    assert len(reasons.splitlines()) == len(found.provenance)


def test_a_header_without_a_date_has_none() -> None:
    bare = Preset("n", "t", "s", "sdxl_train.py", ">=0.7.1")
    assert not preset.header(bare).keys() & {"date", "vram_gib"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(("[train]", "[trian]"), ("unknown-table", 10), id="unknown table"),
        pytest.param(("schema = 1", "schema = 1\nvram = 8"), ("unknown-table", 2), id="stray key"),
        pytest.param(
            ('title = "Mine"', 'title = "Mine"\ntitle = "Two"'),
            ("duplicate-key", 6),
            id="duplicate key",
        ),
        pytest.param(("[extract]", "[train]"), ("duplicate-key", 17), id="duplicate table"),
        pytest.param(("= 1e-6", "="), ("toml-syntax", 12), id="no value"),
        pytest.param(("schema = 1", "schema = 2"), ("schema", 1), id="newer schema"),
        pytest.param(("schema = 1", "schema = 0"), ("schema", 1), id="schema that never was"),
        pytest.param(("schema = 1", "schema = true"), ("schema", 1), id="true is no schema"),
        pytest.param(("schema = 1", "schema = 1.0"), ("schema", 1), id="1.0 is no schema"),
        pytest.param(("schema = 1\n", ""), ("schema", None), id="no schema"),
        pytest.param(('name = "mine"\n', ""), ("missing-key", 3), id="no name"),
        pytest.param(('"A test"', '"A test"\nautor = "me"'), ("unknown-key", 7), id="header key"),
        pytest.param(('"A test"', '"A test"\ndate = "today"'), ("wrong-type", 7), id="text date"),
        pytest.param(('"A test"', '"A test"\nvram_gib = true'), ("wrong-type", 7), id="true GiB"),
        pytest.param(('"A test"', '"A test"\npatches = "ema"'), ("wrong-type", 7), id="one patch"),
        pytest.param(('"sdxl_train.py"', "5"), ("wrong-type", 7), id="number for a script"),
        pytest.param(
            ("dim = 8\n", "dim = 8\n[provenance]\ntrain.sdpa = 'x'\n"),
            ("wrong-type", 20),
            id="reason without quotes around its key",
        ),
    ],
)
def test_a_fault_is_named_with_its_file_and_line(
    change: tuple[str, str], expected: tuple[str, int | None], make: Make
) -> None:
    code, line = expected
    spot = "mine.toml" if line is None else f"mine.toml:{line}"
    assert faults(make(mine=spoiled(change)), "mine") == [(code, spot)]


def test_an_unknown_table_gets_a_suggestion(make: Make) -> None:
    (problem,) = problems(make(mine=spoiled(("[train]", "[trian]"))), "mine")
    assert problem.hint == "Did you mean 'train'?"


def test_an_empty_file_lacks_everything(make: Make) -> None:
    assert {code for code, _ in faults(make(mine=""), "mine")} == {"missing-key"}


def test_a_file_that_is_no_utf8_says_where(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(GOOD.replace("A test", "Übung").encode("latin-1"))
    assert faults(Catalogue(()), str(file)) == [("not-utf8", "latin.toml:6")]


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_windows_files_are_read_alike(ends: str, tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", ends).encode())
    assert Catalogue(()).load(str(file)).train["learning_rate"] == 1e-6
