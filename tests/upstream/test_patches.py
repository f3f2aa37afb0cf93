"""All patches go into every release and every Kohya GUI, and leave no byte behind."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from kohya_presets.sdscripts import releases
from patches import registry
from tests import missing
from tests.sheets import SHIPPED_PATCHES
from tests.usually import usually
from wrapper.checkouts import acquire, checkout, patchwork, trees
from wrapper.system import proc, rewrite

SCRIPTS = "https://github.com/kohya-ss/sd-scripts"
GUI = "https://github.com/bmaltais/kohya_ss"
PATCHES = tuple(map(registry.find, SHIPPED_PATCHES))
INLINE = (
    *("v22.0.0", "v22.0.1", "v22.1.0", "v22.1.1", "v22.2.0", "v22.2.1", "v22.2.2", "v22.3.0"),
    *("v22.3.1", "v22.4.0", "v22.4.1", "v22.5.0", "v22.6.0", "v22.6.1", "v22.6.2"),
)
# A GUI of each generation from v23 on, and the commit of sd-scripts that it pins.
PINS = {
    "v23.0.0": "2d7389185c021bc527b414563c245c5489d6328a",
    "v23.0.15": "6b1520a46b1b6ee7c33092537dc9449d1cc4f56f",
    "v24.1.4": "bfb352bc433326a77aca3124248331eb60c49e8c",
    "v24.1.7": "b8896aad400222c8c4441b217fda0f9bb0807ffd",
    "v25.0.3": "8ebe858f896340d698f03fc33d99ca010131320a",
    "v25.1.2": "5753b8ff6bc045c27c1c61535e35195da860269c",
    "v25.2.1": "3e6935a07edcb944407840ef74fcaf6fcad352f7",
    "v26.0.0": "6721028c79ee85a78b3a06dfd8954dae310a1cce",
}
USUAL = ("v0.7.0", "v0.10.1")

pytestmark = [pytest.mark.upstream]


def files_of(remote: str, commit: str, into: Path, *patterns: str) -> None:
    """Write some of a commit's files into a folder, or skip the test with the reason."""
    source = missing.SD_SCRIPTS if remote == SCRIPTS else missing.KOHYA_GUI
    with missing.skipped_without(source):
        acquire.from_git(remote, commit, into, needed=patterns)


def contents(folder: Path) -> dict[str, bytes]:
    files = (f for f in folder.rglob("*") if f.is_file() and ".git" not in f.parts)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def assert_comes_and_goes(folder: Path) -> None:
    """Apply, compile and revert each patch alone, then all pairs and more, in either order."""
    before = contents(folder)
    found = checkout.open_folder(folder)
    for patch in PATCHES:
        rewrite.carry_out(patchwork.applying(found, [patch]))
        assert patchwork.status(found, patch).state == "applied"
        for change in patchwork.reverting(found, [patch.name]):
            compile(change.before or b"", change.file, "exec", dont_inherit=True)
        rewrite.carry_out(patchwork.reverting(found, [patch.name]))
        assert contents(folder) == before
    numbers = range(2, len(PATCHES) + 1)
    for some in itertools.chain(*(itertools.combinations(PATCHES, n) for n in numbers)):
        made = []
        for order in (some, some[::-1]):
            for patch in order:
                rewrite.carry_out(patchwork.applying(found, [patch]))
            made.append(contents(folder))
            for patch in some:
                assert patchwork.status(found, patch).state == "applied"
                rewrite.carry_out(patchwork.reverting(found, [patch.name]))
            assert contents(folder) == before
        assert made[0] == made[1]


@pytest.mark.parametrize("release", usually(releases.tags(), USUAL))
def test_every_release(release: str, tmp_path: Path) -> None:
    folder = tmp_path / "sd scripts ü"
    commit = releases.find(release).commit
    files_of(SCRIPTS, commit, folder, "/*.py", "/library/*.py", "/networks/*.py")
    assert_comes_and_goes(folder)


@pytest.mark.parametrize("release", usually(releases.tags(), ["v0.10.1"]))
def test_a_managed_checkout_is_as_git_has_it_whatever_was_applied(release: str) -> None:
    with missing.skipped_without(missing.SD_SCRIPTS):
        base = checkout.add(release, on_step=print)
    rewrite.carry_out(patchwork.applying(base, PATCHES))  # as an earlier version did
    made = [trees.with_patches(base, some, on_step=print) for some in (PATCHES, PATCHES[:1], [])]
    assert made[-1] == base
    assert len({copy.folder for copy in made}) == 3
    assert changed(base.folder) == set()
    for copy, patches in zip(made, (PATCHES, PATCHES[:1]), strict=False):
        runtime = {f"library/{file.name}" for patch in patches for file in patch.runtime}
        assert {name for name in changed(copy.folder) if "kp_" in name} == runtime
        assert acquire.head(copy.folder) is None
        commit = proc.run(["git", "rev-parse", "HEAD"], cwd=copy.folder / "library").stdout
        assert commit.strip() == base.commit
    assert changed(base.folder) == set()


def changed(folder: Path) -> set[str]:
    """Return the files that git sees as changed or new."""
    said = proc.run(["git", "status", "--porcelain", "--untracked-files=all"], cwd=folder).stdout
    return {line[3:] for line in said.splitlines()}


@pytest.mark.every_release
@pytest.mark.parametrize("tag", INLINE)
def test_every_gui_with_the_scripts_inside(tag: str, tmp_path: Path) -> None:
    folder = tmp_path / "kohya_ss"
    files_of(GUI, f"refs/tags/{tag}", folder, "/*.py", "/gui.*", "/library/*.py", "/networks/*.py")
    assert checkout.open_folder(folder).layout == "gui-v22"
    assert_comes_and_goes(folder)


@pytest.mark.every_release
@pytest.mark.parametrize("tag", PINS)
def test_every_gui_with_the_scripts_beside(tag: str, tmp_path: Path) -> None:
    folder = tmp_path / "kohya_ss"
    files_of(GUI, f"refs/tags/{tag}", folder, "/*.py", "/gui.*", "/kohya_gui/*.py")
    scripts = folder / "sd-scripts"
    if scripts.exists():
        scripts.rmdir()  # git made it for the submodule
    files_of(SCRIPTS, PINS[tag], scripts, "/*.py", "/library/*.py", "/networks/*.py")
    assert checkout.open_folder(folder).layout == "gui-v23"
    assert_comes_and_goes(folder)
