"""A patch's folder is read, and every fault of its patch.toml is told with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.sdscripts.options import TYPES
from patches import engine, registry
from patches.registry import PatchFileError
from tests.sheets import SHIPPED_PATCHES
from wrapper.rehearsal.adapt import STANDIN

GOOD = """\
format = 1

[patch]
name = "mine"
summary = "An optimizer of mine"
runtime = ["kp_mine.py"]

[[edit]]
file = ["library/train_util.py", "library/optimizer.py"]
function = "get_optimizer"
anchor = "if optimizer is None: ..."
where = "before"
lines = '''
if optimizer_type == "mine":
    pass
'''

[[edit]]
file = "sdxl_train.py"
anchor = "import torch"
where = "after"
lines = "import mine"
"""


def write(folder: Path, text: str) -> Path:
    at = folder / "mine"
    at.mkdir()
    (at / "patch.toml").write_text(text, "utf-8")
    (at / "kp_mine.py").touch()
    return at


def test_a_users_patch_works_like_ours(tmp_path: Path) -> None:
    at = write(tmp_path, GOOD)
    for found in (registry.find("mine", tmp_path), registry.find(str(at)), registry.load(at)):
        assert found.name == "mine"
        assert found.runtime == (at / "kp_mine.py",)
        assert [edit.files for edit in found.edits] == [
            ("library/train_util.py", "library/optimizer.py"),
            ("sdxl_train.py",),
        ]
    names = [patch.name for patch in registry.every(tmp_path)]
    assert names == sorted([*SHIPPED_PATCHES, "mine"])


def test_the_documented_example_is_a_patch(tmp_path: Path) -> None:
    text = (registry.SHIPPED / "README.md").read_text("utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    assert len(example.splitlines()) < 20
    (tmp_path / "sophia").mkdir()
    (tmp_path / "sophia/patch.toml").write_text(example, "utf-8")
    (tmp_path / "sophia/kp_sophia.py").touch()
    (edit,) = registry.find("sophia", tmp_path).edits
    source = (STANDIN / "library/train_util.py").read_text("utf-8")
    patched = engine.apply(source, "sophia", [edit])
    assert "from library.kp_sophia import Sophia" in patched
    assert engine.revert(patched, "sophia") == source


def test_the_documented_option_is_one(tmp_path: Path) -> None:
    text = (registry.SHIPPED / "README.md").read_text("utf-8")
    example = text.split("```toml\n")[2].split("```")[0]
    found = registry.load(write(tmp_path, f"{GOOD}\n{example}"))
    ((option, scripts),) = found.addition.options
    assert (option.name, option.type, option.default) == ("sophia_rho", "float", 0.04)
    assert scripts == ("sdxl_train.py",)
    types = text.split("- `type` is ")[1].split("\n- ")[0]
    assert set(re.findall(r"`([a-z ]+)`", types)) <= set(TYPES)


def test_a_name_of_yours_goes_before_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "ema").mkdir()
    text = GOOD.replace('"mine"', '"ema"').replace('runtime = ["kp_mine.py"]\n', "")
    (tmp_path / "ema/patch.toml").write_text(text, "utf-8")
    assert registry.find("ema", tmp_path).summary == "An optimizer of mine"


def test_an_unknown_name_is_told_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no patch 'emma'") as caught:
        registry.find("emma", tmp_path)
    assert caught.value.hint == "Did you mean 'ema'?"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(("format = 1", "format = 2"), [("format", 1)], id="newer format"),
        pytest.param(("format = 1\n", ""), [("format", None)], id="no format"),
        pytest.param(('"mine"', '"yours"'), [("name", 4)], id="another name"),
        pytest.param(("summary", "sumary"), [("missing", 3), ("unknown-key", 5)], id="misspelled"),
        pytest.param(("kp_mine.py", "kp_gone.py"), [("runtime", 6)], id="no such file"),
        pytest.param(("kp_mine.py", "../x.py"), [("runtime", 6)], id="a file elsewhere"),
        pytest.param(('"before"', '"above"'), [("choice", 12)], id="no such place"),
        pytest.param(('"before"', "1"), [("type", 12)], id="a number"),
        pytest.param(('"after"', '"inside"'), [("anchor", 21)], id="inside of nothing"),
        pytest.param(("import torch", "import"), [("anchor", 20)], id="no Python"),
        pytest.param(("import torch", "a; b"), [("anchor", 20)], id="two statements"),
        pytest.param(('"sdxl_train.py"', '"/etc/x.py"'), [("file", 19)], id="absolute"),
        pytest.param(('"sdxl_train.py"', '"../x.py"'), [("file", 19)], id="outside"),
        pytest.param(('"sdxl_train.py"', "[1]"), [("type", 19)], id="a list of numbers"),
        pytest.param(("[[edit]]\nfile = [", "[edit]\nfile = ["), [("toml-syntax", 18)], id="twice"),
        pytest.param((GOOD, ""), [("format", None)], id="empty"),
        pytest.param((GOOD, "format = 1\n"), [("type", None)], id="nothing in it"),
        pytest.param(('runtime = ["kp_mine.py"]', "runtime = 5"), [("type", 6)], id="no list"),
        pytest.param(("[patch]", "[patches]"), [("unknown-key", 3), ("type", None)], id="table"),
    ],
)
def test_a_fault_is_told_with_its_line(
    change: tuple[str, str], expected: list[tuple[str, int | None]], tmp_path: Path
) -> None:
    assert change[0] in GOOD
    with pytest.raises(PatchFileError) as caught:
        registry.load(write(tmp_path, GOOD.replace(*change, 1)))
    found = [(problem.code, problem.where.line) for problem in caught.value.problems]
    assert found == expected
    assert caught.value.exit_code == 4


def test_a_newer_format_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PatchFileError) as caught:
        registry.load(write(tmp_path, GOOD.replace("format = 1", "format = 2")))
    assert "Update kohya-presets" in (caught.value.problems[0].hint or "")


BROKEN = (
    *("", "format = ", "format = 1\n[patch]\nname = 1\n", "format = 1\npatch = 3\n", "\x00"),
    *("format = 1\n[patch]\nname = 'x'\n[edit]\nfile = 'a'\n", "option = [[1]]"),
)


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_patch_does_not_stop_the_others(text: str, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / registry.FILE).write_text(text, "utf-8")
    names = [patch.name for patch in registry.every(tmp_path)]
    assert names == sorted([*SHIPPED_PATCHES, "mine"])
    (fault,) = registry.broken(tmp_path)
    assert "'x'" in str(fault)
    assert fault.problems
    assert registry.additions(tmp_path)


def test_a_patch_that_cannot_be_read_is_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "x" / registry.FILE).mkdir(parents=True)
    assert [problem.code for fault in registry.broken(tmp_path) for problem in fault.problems] == [
        "unreadable"
    ]
