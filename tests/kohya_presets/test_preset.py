"""What a preset file may hold, and what each fault is called, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets import preset
from kohya_presets.catalogue import SHIPPED, Catalogue
from kohya_presets.errors import PresetError, UserError

GOOD = """\
schema = 1

[preset]
name = "mine"
title = "Mine"
summary = "A test"
script = "sdxl_train.py"
releases = ">=0.7.1"

[train]
optimizer_type = "AdamW"
learning_rate = 1e-6

[dataset]
resolution = [1024, 1024]

[extract]
dim = 8
"""
SHIPPED_NAMES = ("a100-ema", "a6000", "adacoor", "lion", "skynet")

Make = Callable[..., Catalogue]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write presets into a folder and return a catalogue of it and the shipped ones."""

    def catalogue(**files: str) -> Catalogue:
        folder = tmp_path / "presets ü"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.toml").write_text(text, "utf-8")
        return Catalogue((folder, SHIPPED))

    return catalogue


def faults(catalogue: Catalogue, name: str, *overrides: str) -> list[tuple[str, int | None]]:
    with pytest.raises(PresetError) as caught:
        catalogue.load(name, overrides=overrides)
    assert caught.value.exit_code == 3
    return [(p.code, p.where.line) for p in caught.value.problems]


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_shipped_preset_gives_a_reason_for_every_value(name: str, shipped: Catalogue) -> None:
    found = shipped.load(name)
    settings = {f"{table}.{key}" for table, values in found.tables.items() for key in values}
    assert set(found.provenance) == settings
    assert all(reason.startswith(("guide: ", "chosen: ")) for reason in found.provenance.values())
    assert found.date
    assert found.vram_gib
    assert not (found.extract or {}).keys() & {"model_org", "device"}


def test_the_shipped_presets_are_the_guides_five(shipped: Catalogue) -> None:
    assert tuple(sorted(shipped.names())) == SHIPPED_NAMES


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


def test_a_child_keeps_what_it_does_not_change(shipped: Catalogue) -> None:
    lion, adacoor = shipped.load("lion"), shipped.load("adacoor")
    assert lion.train["optimizer_type"] == "Lion"
    assert "optimizer_args" not in lion.train
    assert lion.patches == ()
    assert lion.dataset == adacoor.dataset
    assert lion.extends == ("adacoor",)


def test_unset_takes_a_whole_table_out(make: Make) -> None:
    child = 'schema = 1\nresize = "unset"\n[preset]\nname = "c"\ntitle = "C"\nsummary = "c"\n'
    found = make(c=child + 'extends = "skynet"\n').load("c")
    assert found.resize is None
    assert "resize" not in found.tables
    assert not any(key.startswith("resize.") for key in found.provenance)


def test_a_users_preset_may_extend_the_shipped_one_of_its_name(make: Make) -> None:
    child = GOOD.replace('name = "mine"', 'name = "skynet"\nextends = "skynet"')
    found = make(skynet=child).load("skynet")
    assert found.train["min_snr_gamma"] == 5
    assert found.extract is not None
    assert found.extract["dim"] == 8


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(("[train]", "[trian]"), [("unknown-table", 10)], id="unknown table"),
        pytest.param(
            ('title = "Mine"', 'title = "Mine"\ntitle = "Two"'),
            [("duplicate-key", 6)],
            id="duplicate key",
        ),
        pytest.param(("[extract]", "[train]"), [("duplicate-key", 17)], id="duplicate table"),
        pytest.param(
            ("learning_rate = 1e-6", 'learning_rate = "1e-6"'),
            [("wrong-type", 12)],
            id="text for a number",
        ),
        pytest.param(("dim = 8", "dim = 8.5"), [("wrong-type", 18)], id="half a rank"),
        pytest.param(("dim = 8", "dim = true"), [("wrong-type", 18)], id="true is no number"),
        pytest.param(
            ("[1024, 1024]", "[1024, 1024, 3]"), [("wrong-type", 15)], id="three for a pair"
        ),
        pytest.param(
            ('"AdamW"', '"AdamW"\nmixed_precision = "fp8"'),
            [("wrong-type", 12)],
            id="no such choice",
        ),
        pytest.param(("learning_rate", "learning_rat"), [("unknown-option", 12)], id="misspelled"),
        pytest.param(
            ("dim = 8", 'dim = 8\nmodel_org = "C:/sdxl"'), [("path-in-preset", 19)], id="a path"
        ),
        pytest.param(("schema = 1", "schema = 2"), [("schema", 1)], id="newer schema"),
        pytest.param(("schema = 1\n", ""), [("schema", None)], id="no schema"),
        pytest.param(('name = "mine"\n', ""), [("missing-key", 3)], id="no name"),
        pytest.param(('"sdxl_train.py"', '"train.py"'), [("unknown-script", 7)], id="script"),
        pytest.param(("= 1e-6", "="), [("toml-syntax", 12)], id="no value"),
        pytest.param(
            ("[dataset]", "[dataset]\nlearning_rate = 1.0"), [("unknown-option", 15)], id="moved"
        ),
        pytest.param(
            ('"AdamW"', '"AdamW"\nema_decay = 0.9'), [("unknown-option", 12)], id="patch missing"
        ),
        pytest.param(
            ('summary = "A test"', 'summary = "A test"\ndate = "today"'),
            [("wrong-type", 7)],
            id="date as text",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(
    change: tuple[str, str], expected: list[tuple[str, int | None]], make: Make
) -> None:
    assert change[0] in GOOD
    assert faults(make(mine=GOOD.replace(*change)), "mine") == expected


def test_all_faults_are_told_at_once(make: Make) -> None:
    text = GOOD.replace("learning_rate", "learning_rat").replace("dim = 8", 'dim = "8"')
    assert faults(make(mine=text), "mine") == [("unknown-option", 12), ("wrong-type", 18)]


def test_a_misspelled_option_gets_a_suggestion_and_its_file(make: Make) -> None:
    catalogue = make(mine=GOOD.replace("learning_rate", "learning_rat"))
    with pytest.raises(PresetError) as caught:
        catalogue.load("mine")
    (problem,) = caught.value.problems
    assert (problem.hint or "").startswith("Did you mean 'learning_rate'")
    assert problem.where.file == catalogue.find("mine")


def test_a_circle_of_extends_is_one_fault(make: Make) -> None:
    def head(name: str, parent: str) -> str:
        return f'schema = 1\n[preset]\nname = "{name}"\nextends = "{parent}"\n'

    assert faults(make(a=head("a", "b"), b=head("b", "c"), c=head("c", "a")), "a") == [
        ("extends-cycle", 4)
    ]


def test_a_preset_that_extends_nothing_known_is_an_error(make: Make) -> None:
    text = GOOD.replace('name = "mine"', 'name = "mine"\nextends = "skynt"')
    with pytest.raises(UserError, match="no preset 'skynt'") as caught:
        make(mine=text).load("mine")
    assert caught.value.hint == "Did you mean 'skynet'?"


def test_a_file_that_is_no_utf8_says_where(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(GOOD.replace("A test", "Übung").encode("latin-1"))
    assert faults(Catalogue(()), str(file)) == [("not-utf8", 6)]


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_windows_files_are_read_alike(ends: str, tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", ends).encode())
    assert Catalogue(()).load(str(file)).train["learning_rate"] == 1e-6


@pytest.mark.parametrize(
    ("text", "value"),
    [("2e-6", 2e-6), ("Lion", "Lion"), ('"Lion"', "Lion"), ("true", True), ("[1, 2]", [1, 2])],
)
def test_set_takes_toml_and_bare_words(text: str, value: object, make: Make) -> None:
    keys = {float: "learning_rate", str: "optimizer_type", bool: "sdpa"}
    key = keys.get(type(value))
    name, table = (key, "train") if key else ("resolution", "dataset")
    found = make(mine=GOOD).load("mine", overrides=[f"{table}.{name}={text}"])
    assert found.tables[table][name] == value
    assert found.provenance[f"{table}.{name}"] == "set on the command line"


def test_set_can_unset(make: Make) -> None:
    found = make(mine=GOOD).load("mine", overrides=["train.optimizer_type=unset", "extract=unset"])
    assert "optimizer_type" not in found.train
    assert found.extract is None


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("learning_rate=1", "bad-override"),
        ("train.learning_rate", "bad-override"),
        ("preset.name=x", "bad-override"),
        ("train.learning_rate=fast", "wrong-type"),
        ("train.lerning_rate=1.0", "unknown-option"),
    ],
)
def test_a_wrong_set_is_checked_like_the_preset(override: str, code: str, make: Make) -> None:
    assert faults(make(mine=GOOD), "mine", override) == [(code, None)]


def test_a_missing_preset_suggests_a_near_one(shipped: Catalogue) -> None:
    with pytest.raises(UserError) as caught:
        shipped.load("skyne")
    assert caught.value.hint == "Did you mean 'skynet'?"


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing at"):
        Catalogue(()).load(str(tmp_path / "gone.toml"))
