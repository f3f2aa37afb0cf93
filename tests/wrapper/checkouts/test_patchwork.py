"""Patches in folders as users have them, and everything that can be in their way."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.errors import AnchorError, PatchError
from kohya_presets.presets.catalogue import Catalogue
from patches import registry
from patches.registry import Patch
from wrapper.checkouts import checkout, patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.planning import preflight, trainer
from wrapper.rehearsal.adapt import STANDIN
from wrapper.screen.talk import Talk
from wrapper.system import proc, rewrite

EMA, ADACOOR = registry.find("ema"), registry.find("adacoor")
BOTH = (EMA, ADACOOR)
GUI = """\
class BasicTraining:
    def __init__(self):
        self.optimizer = gr.Dropdown(
            label='Optimizer',
            choices=['AdamW', 'Lion'],
        )
"""
LAYOUTS = ("plain", "gui-v22", "gui-v23")


def tree(folder: Path, layout: str) -> Path:
    """Make a folder as users have it, with the stand-in for sd-scripts."""
    scripts = folder / "sd-scripts" if layout == "gui-v23" else folder
    shutil.copytree(STANDIN, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    if layout != "plain":
        (folder / "gui.sh").touch()
        place = folder / ("library" if layout == "gui-v22" else "kohya_gui")
        place.mkdir(exist_ok=True)
        (place / "class_basic_training.py").write_text(GUI, "utf-8")
        foreign = folder / "venv" / "lib" / "x.py"
        foreign.parent.mkdir(parents=True)
        foreign.write_text("# >>> kohya-presets: somebody's\n", "utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def put_in(found: Checkout, *patches: Patch) -> None:
    rewrite.carry_out(patchwork.applying(found, patches))


def take_out(found: Checkout, *names: str, even_edited: bool = False) -> None:
    rewrite.carry_out(patchwork.reverting(found, names, even_edited=even_edited))


def states(found: Checkout) -> dict[str, str]:
    return {patch.name: patchwork.status(found, patch).state for patch in BOTH}


@pytest.fixture
def clone(tmp_path: Path) -> Checkout:
    return checkout.open_folder(tree(tmp_path / "my scripts ü", "plain"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_patches_leave_without_a_trace(layout: str, tmp_path: Path) -> None:
    folder = tree(tmp_path / "a folder ü", layout)
    before = contents(folder)
    found = checkout.open_folder(folder)
    assert found.layout == layout
    assert states(found) == {"ema": "absent", "adacoor": "absent"}

    put_in(found, *BOTH)
    assert states(found) == {"ema": "applied", "adacoor": "applied"}
    assert patchwork.carried(found) == {"ema", "adacoor"}
    gui = [name for name in contents(folder) if name.endswith("class_basic_training.py")]
    assert all(b"AdaCoor" in contents(folder)[name] for name in gui)
    again = contents(folder)
    put_in(found, *BOTH)
    assert contents(folder) == again

    take_out(found, "adacoor")
    assert states(found) == {"ema": "applied", "adacoor": "absent"}
    take_out(found, "ema")
    assert contents(folder) == before


def test_compiled_runtime_modules_go_too(clone: Checkout) -> None:
    put_in(clone, EMA)
    cache = clone.scripts / "library/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "kp_ema.cpython-310.pyc").touch()
    (cache / "train_util.cpython-310.pyc").touch()
    take_out(clone, "ema")
    assert [file.name for file in cache.iterdir()] == ["train_util.cpython-310.pyc"]


def test_a_release_the_patch_does_not_fit(clone: Checkout) -> None:
    script = clone.scripts / "sdxl_train.py"
    script.write_text(script.read_text("utf-8").replace("global_step += 1", "global_step += 2"))
    before = contents(clone.folder)
    with pytest.raises(AnchorError, match="expected one `global_step") as caught:
        put_in(clone, EMA)
    assert caught.value.exit_code == 4
    assert states(clone)["ema"] == "does not fit"
    assert contents(clone.folder) == before


def test_an_anchor_in_two_files_is_ambiguous(clone: Checkout) -> None:
    twin = clone.scripts / "library/optimizer.py"
    twin.write_bytes((clone.scripts / "library/train_util.py").read_bytes())
    with pytest.raises(AnchorError, match="found 2"):
        put_in(clone, ADACOOR)


Spoil = Callable[[Checkout], None]


def _change(file: str, old: str, new: str) -> Spoil:
    def spoil(found: Checkout) -> None:
        path = found.scripts / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return spoil


def _take_away(file: str) -> Spoil:
    return lambda found: (found.scripts / file).unlink()


ALTERED = {
    "a closing fence gone": _change("sdxl_train.py", "# <<< kohya-presets: ema", "# ema"),
    "a line in a block": _change("sdxl_train.py", "kp_average.update()", "kp_average.update(1)"),
    "a runtime module edited": _change("library/kp_ema.py", "import argparse", "import os"),
}


@pytest.mark.parametrize("how", ALTERED)
def test_what_was_altered_by_hand_is_told_and_kept(how: str, clone: Checkout) -> None:
    put_in(clone, EMA)
    ALTERED[how](clone)
    before = contents(clone.folder)
    assert states(clone)["ema"] == "altered"
    with pytest.raises(
        PatchError, match=r"edited by hand|expected complete patch blocks"
    ) as caught:
        take_out(clone, "ema")
    assert caught.value.hint
    with pytest.raises(PatchError):
        put_in(clone, EMA)
    assert contents(clone.folder) == before


def test_a_patch_that_is_not_there_was_not_altered(clone: Checkout) -> None:
    put_in(clone, EMA)
    ALTERED["a closing fence gone"](clone)
    found = patchwork.status(clone, ADACOOR)
    assert found.state == "absent"
    assert "sdxl_train.py: line" in found.why
    assert states(clone)["ema"] == "altered"


@pytest.mark.parametrize("patched", [False, True])
def test_what_is_no_python_is_named_with_its_own_line(patched: bool, clone: Checkout) -> None:
    if patched:
        put_in(clone, EMA)
    script = clone.scripts / "sdxl_train.py"
    text = script.read_text("utf-8")
    script.write_text(f"{text}def (\n", "utf-8")
    line = len(text.splitlines()) + 1
    with pytest.raises(
        PatchError, match=rf"sdxl_train\.py: .*not valid Python: line {line}: invalid syntax"
    ):
        put_in(clone, EMA)


def test_edits_inside_of_blocks_are_lost_when_asked_for(clone: Checkout) -> None:
    before = contents(clone.folder)
    put_in(clone, EMA)
    ALTERED["a line in a block"](clone)
    ALTERED["a runtime module edited"](clone)
    take_out(clone, "ema", even_edited=True)
    assert contents(clone.folder) == before


def test_half_of_a_patch_is_told_and_completed(clone: Checkout) -> None:
    put_in(clone, EMA)
    whole = contents(clone.folder)
    _take_away("library/kp_average.py")(clone)
    found = patchwork.status(clone, EMA)
    assert (found.state, "kp_average.py" in found.why) == ("altered", True)
    put_in(clone, EMA)
    assert contents(clone.folder) == whole


def test_a_patch_of_an_older_version_is_outdated_and_replaced(
    clone: Checkout, tmp_path: Path
) -> None:
    older = shutil.copytree(EMA.folder, tmp_path / "ema")
    text = (older / "patch.toml").read_text("utf-8")
    (older / "patch.toml").write_text(text.replace("kp_average.update()", "kp_average.old()"))
    put_in(clone, registry.load(older))
    assert states(clone)["ema"] == "outdated"
    put_in(clone, EMA)
    assert states(clone)["ema"] == "applied"


def test_so_is_an_older_version_of_fewer_modules(clone: Checkout, tmp_path: Path) -> None:
    older = shutil.copytree(EMA.folder, tmp_path / "ema")
    text = (older / "patch.toml").read_text("utf-8")
    (older / "patch.toml").write_text(text.replace(', "kp_moving.py"', ""))
    (older / "kp_average.py").write_text("everything = True\n")
    put_in(clone, registry.load(older))
    assert states(clone)["ema"] == "outdated"
    put_in(clone, EMA)
    assert states(clone)["ema"] == "applied"


def test_a_file_of_the_users_is_not_overwritten(clone: Checkout) -> None:
    (clone.scripts / "library/kp_ema.py").write_text("mine = True\n")
    with pytest.raises(PatchError, match="is not of this patch"):
        put_in(clone, EMA)


@pytest.mark.parametrize("file", ["sdxl_train.py", "library/train_util.py"])
def test_a_read_only_file_changes_nothing(file: str, clone: Checkout) -> None:
    (clone.scripts / file).chmod(0o444)
    before = contents(clone.folder)
    with pytest.raises(PatchError, match="read-only"):
        put_in(clone, *BOTH)
    assert contents(clone.folder) == before


def test_a_file_that_is_no_utf8_changes_nothing(clone: Checkout) -> None:
    script = clone.scripts / "sdxl_train.py"
    script.write_bytes(script.read_bytes() + b"# \xe4\n")
    with pytest.raises(PatchError, match="expected UTF-8"):
        put_in(clone, EMA)


def test_a_failure_in_the_middle_changes_nothing(
    clone: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(clone.folder)
    changes = patchwork.applying(clone, BOTH)
    replace = Path.replace

    def full_at_the_third(self: Path, target: Path) -> Path:
        if target == changes[2].file:
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full_at_the_third)
    with pytest.raises(PatchError, match="No space left on device; nothing was changed"):
        rewrite.carry_out(changes)
    assert contents(clone.folder) == before


def test_a_file_changed_meanwhile_is_not_overwritten(clone: Checkout) -> None:
    changes = patchwork.applying(clone, [EMA])
    script = clone.scripts / "sdxl_train.py"
    script.write_text(script.read_text("utf-8") + "# mine\n")
    with pytest.raises(PatchError, match="has just changed on disk"):
        rewrite.carry_out(changes)
    assert script.read_text("utf-8").endswith("# mine\n")


def test_a_second_process_is_turned_away(clone: Checkout) -> None:
    code = (
        "import sys; from pathlib import Path; from wrapper.system import rewrite\n"
        "with rewrite.alone(Path(sys.argv[1])): pass"
    )
    with rewrite.alone(clone.folder):
        other = proc.run([sys.executable, "-c", code, clone.folder], check=False)
    assert "another process is patching" in other.stderr
    proc.run([sys.executable, "-c", code, clone.folder])


def test_a_clone_of_yours_is_not_patched_without_being_asked(
    clone: Checkout, shipped: Catalogue
) -> None:
    before = contents(clone.folder)
    found = trainer.with_patches(clone, ["adacoor"], Talk())
    assert contents(found.folder) == before
    (problem,) = preflight.patches(shipped.load("adacoor"), found)
    assert (problem.code, problem.severity) == ("patch", "error")
    command = f'kohya-presets patch apply adacoor fast-lora --checkout "{clone.folder}"'
    assert f"`{command}`" in (problem.hint or "")


def test_who_is_patient_waits_for_the_other(clone: Checkout) -> None:
    inside, done = threading.Event(), []

    def other() -> None:
        with rewrite.alone(clone.folder):
            inside.set()
            time.sleep(0.3)
            done.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    with rewrite.alone(clone.folder, patience_seconds=30):
        assert done
    thread.join()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_files_mode_and_links_stay(clone: Checkout, tmp_path: Path) -> None:
    script = clone.scripts / "sdxl_train.py"
    elsewhere = script.rename(tmp_path / "elsewhere.py")
    elsewhere.chmod(0o754)
    script.symlink_to(elsewhere)
    put_in(clone, EMA)
    assert script.is_symlink()
    assert elsewhere.stat().st_mode & 0o777 == 0o754
    assert "kp_ema" in elsewhere.read_text("utf-8")


@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_git_applies_the_diff(layout: str, crlf: bool, tmp_path: Path) -> None:
    folder = tree(tmp_path / "a folder", layout)
    if crlf:
        for file in folder.rglob("*.py"):
            file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    before = contents(folder)
    found = checkout.open_folder(folder)
    patch = tmp_path / "both.diff"
    patch.write_bytes(rewrite.diff(patchwork.applying(found, BOTH), folder))
    put_in(found, *BOTH)
    expected = contents(folder)
    take_out(found, "ema", "adacoor")
    assert contents(folder) == before
    proc.run(["git", "init", "--quiet"], cwd=folder)
    proc.run(["git", "apply", patch], cwd=folder)
    shutil.rmtree(folder / ".git")
    assert contents(folder) == expected
