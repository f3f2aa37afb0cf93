"""One sheet over another: what a child keeps, what --set does, and all faults told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.errors import UserError
from kohya_presets.presets import inherit
from kohya_presets.presets.catalogue import SHIPPED, Catalogue
from kohya_presets.presets.preset import Sheet
from kohya_presets.toml.source import Source
from tests.sheets import GOOD, Make, extending, faults, problems, spoiled

VALUES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3) | st.just("unset"))


def test_a_child_keeps_what_it_does_not_change(shipped: Catalogue) -> None:
    lion, adacoor = shipped.load("lion"), shipped.load("adacoor")
    assert lion.train["optimizer_type"] == "Lion"
    assert "optimizer_args" not in lion.train
    assert lion.patches == ("fast-lora",)
    assert lion.dataset == adacoor.dataset
    assert lion.extends == ("adacoor",)


def test_a_childs_value_does_not_keep_the_parents_reason(make: Make) -> None:
    found = make(mine=extending("skynet")).load("mine")
    assert "train.learning_rate" not in found.provenance
    assert found.provenance["train.lr_scheduler"].startswith("guide: ")


def test_title_and_name_are_not_inherited(make: Make) -> None:
    text = extending("skynet", spoiled(('title = "Mine"\n', "")))
    assert faults(make(mine=text), "mine") == [("missing-key", "mine.toml:3")]


def test_unset_takes_a_whole_table_out(make: Make) -> None:
    child = 'schema = 1\nresize = "unset"\n[preset]\nname = "c"\ntitle = "C"\nsummary = "c"\n'
    found = make(c=child + 'extends = "skynet"\n').load("c")
    assert found.resize is None
    assert "resize" not in found.tables
    assert not any(key.startswith("resize.") for key in found.provenance)


def test_a_parent_may_be_a_file_beside_its_child(make: Make) -> None:
    parent = spoiled(("dim = 8", "dim = 16"))
    found = make(mine=extending("./base.toml", spoiled(("dim = 8", "sdxl = true"))), base=parent)
    assert found.load("mine").extract == {"dim": 16, "sdxl": True}


def test_a_parent_without_a_name_goes_by_its_files(make: Make) -> None:
    catalogue = make(mine=extending("base"), base=spoiled(('name = "mine"\n', "")))
    assert catalogue.load("mine").extends == ("base",)


def test_a_users_preset_may_extend_the_shipped_one_of_its_name(make: Make) -> None:
    child = extending("skynet", spoiled(('name = "mine"', 'name = "skynet"')))
    found = make(skynet=child).load("skynet")
    assert found.train["min_snr_gamma"] == 5
    assert found.extract is not None
    assert found.extract["dim"] == 8


@given(VALUES, VALUES, VALUES)
def test_laying_two_sheets_first_makes_no_difference(
    a: dict[str, object], b: dict[str, object], c: dict[str, object]
) -> None:
    sheets = [Sheet(Source(None, {}), {"train": values}) for values in (a, b, c)]
    both = {k: v for values in (a, b, c) for k, v in values.items()}
    assert inherit.lay(sheets)["train"] == {k: v for k, v in both.items() if v != "unset"}


def test_all_faults_of_a_file_are_told_at_once(make: Make) -> None:
    text = spoiled(
        ("schema = 1", "schema = 2"),
        ('title = "Mine"', 'title = "Mine"\ntitle = "Two"'),
        ('releases = ">=0.7.1"\n', ""),
        ("learning_rate", "learning_rat"),
        ("[dataset]", "[datset]"),
        ("dim = 8", 'dim = "8"\nmodel_org = "/sdxl"'),
    )
    assert faults(make(mine=text), "mine", "nonsense", "train.sdpa=5") == [
        ("duplicate-key", "mine.toml:6"),
        ("schema", "mine.toml:1"),
        ("unknown-table", "mine.toml:14"),
        ("bad-override", ""),
        ("unknown-option", "mine.toml:12"),
        ("wrong-type", ""),
        ("wrong-type", "mine.toml:18"),
        ("path-in-preset", "mine.toml:19"),
    ]


def test_a_missing_key_is_told_beside_other_faults(make: Make) -> None:
    text = spoiled(('releases = ">=0.7.1"\n', ""), ("dim = 8", 'dim = "8"'))
    assert faults(make(mine=text), "mine") == [
        ("missing-key", "mine.toml:3"),
        ("wrong-type", "mine.toml:17"),
    ]


def test_faults_of_a_parent_are_told_with_its_own_file(make: Make) -> None:
    catalogue = make(
        mine=extending("base", spoiled(("dim = 8", 'dim = "8"'))),
        base=spoiled(("learning_rate", "learning_rat")),
    )
    assert faults(catalogue, "mine") == [
        ("unknown-option", "base.toml:12"),
        ("wrong-type", "mine.toml:19"),
    ]


def test_a_circle_of_extends_is_one_fault(make: Make) -> None:
    def head(name: str, parent: str) -> str:
        return f'schema = 1\n[preset]\nname = "{name}"\nextends = "{parent}"\n'

    catalogue = make(a=head("a", "b"), b=head("b", "c"), c=head("c", "a"))
    (problem,) = problems(catalogue, "a")
    assert faults(catalogue, "a") == [("extends-cycle", "c.toml:4")]
    assert problem.message.endswith("a → b → c → a")


def test_a_preset_that_extends_itself_is_a_circle(make: Make) -> None:
    catalogue = make(mine=extending("mine", spoiled(("dim = 8", 'dim = "8"'))))
    assert faults(catalogue, "mine") == [
        ("extends-cycle", "mine.toml:5"),
        ("wrong-type", "mine.toml:19"),
    ]


@pytest.mark.parametrize(
    ("parent", "message", "hint"),
    [
        ("skynt", "there is no preset 'skynt'", "Did you mean 'skynet'?"),
        ("./gone.toml", "there is no preset file ", None),
    ],
)
def test_a_missing_parent_is_told_with_its_line_beside_other_faults(
    parent: str, message: str, hint: str | None, make: Make
) -> None:
    header = ('script = "sdxl_train.py"\nreleases = ">=0.7.1"\n', "")  # the parent's to say
    text = extending(parent, spoiled(header, ("dim = 8", 'dim = "8"\nenable_ema = true')))
    catalogue = make(mine=text.replace('"AdamW"', '"AdamW"\nenable_ema = true\nnetwork_dim = 1'))
    missing, *others = problems(catalogue, "mine")
    assert (missing.code, missing.where.line, missing.hint) == ("unknown-preset", 5, hint)
    assert missing.message.startswith(message)
    assert faults(catalogue, "mine")[0] == ("unknown-preset", "mine.toml:5")
    assert [(p.code, p.where.key) for p in others] == [
        ("wrong-type", "extract.dim"),
        ("unknown-option", "extract.enable_ema"),
    ]


def test_a_file_that_cannot_be_read_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the preset"):
        inherit.load(tmp_path, find=Catalogue(()).find)


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


def test_set_can_unset_and_leaves_no_reason_for_what_is_gone(make: Make) -> None:
    found = make(mine=GOOD).load("mine", overrides=["train.optimizer_type=unset", "extract=unset"])
    assert "optimizer_type" not in found.train
    assert found.extract is None
    assert not found.provenance


@pytest.mark.parametrize(
    ("overrides", "extract"),
    [
        (["extract.dim=4", "extract.dim=5"], {"dim": 5}),
        (["extract.dim=4", "extract.sdxl=true"], {"dim": 4, "sdxl": True}),
        (["extract.dim=4", "extract=unset"], None),
        (["extract=unset", "extract.sdxl=true"], {"sdxl": True}),
    ],
)
def test_a_later_set_wins(overrides: list[str], extract: object, make: Make) -> None:
    assert make(mine=GOOD).load("mine", overrides=overrides).extract == extract


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("learning_rate=1", "bad-override"),
        ("train.learning_rate", "bad-override"),
        ("preset.name=x", "bad-override"),
        ("train=unset", "bad-override"),
        ("extract=none", "bad-override"),
        ("train.optimizer_type=", "bad-override"),
        ('train.optimizer_type="Lion', "bad-override"),
        ("dataset.resolution=[512,", "bad-override"),
        ("train.learning_rate=fast", "wrong-type"),
        ("train.lerning_rate=1.0", "unknown-option"),
        ("train.a.b=1", "unknown-option"),
        ("extract.save_to=lora", "path-in-preset"),
    ],
)
def test_a_wrong_set_is_checked_like_the_preset(override: str, code: str, make: Make) -> None:
    assert faults(make(mine=GOOD), "mine", override) == [(code, "")]


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_whatever_is_set_a_fault_is_the_users_and_no_traceback(text: str) -> None:
    override = f"train.no_such_option={text}"
    assert problems(Catalogue((SHIPPED,)), "skynet", override)
