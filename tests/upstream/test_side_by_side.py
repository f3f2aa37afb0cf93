"""Two rehearsals at once on one release, each with its own patches: neither meets the other's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kohya_presets.sdscripts import releases
from patches import registry
from tests import tensors
from tests.conftest import let_go
from tests.upstream.conftest import Rehearsed
from tests.wrapper.checkouts.test_patchwork import contents
from tests.wrapper.cli.test_cli import typed
from tests.wrapper.runs.killing import kill_trainer, running, wait_for
from wrapper.checkouts import checkout, patchwork, trees
from wrapper.checkouts.checkout import Checkout
from wrapper.runs import manifest
from wrapper.system import launch

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]
CODE = "from wrapper.cli import main; main()"
PATCHES = {"skynet": ["resume"], "adacoor": ["adacoor", "fast-lora", "resume"]}
# What the extraction of one of them writes into its log, and that of the other does not.
SAID = {"skynet": "building U-Net", "adacoor": "of the change (squared) in rank"}


def sources(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name.endswith(".py")}


def test_the_manifest_the_log_and_the_scripts_agree(
    upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    base = trees.with_patches(upstream(releases.DEFAULT), [], on_step=print)
    before = sources(base.folder)
    runs = (tmp_path / "runs").resolve()
    folders = {name: runs / f"rehearsal-{name}" for name in PATCHES}
    begun = {}
    for name in PATCHES:
        words = ("rehearse", name, "--runs", str(runs), "--release", releases.DEFAULT)
        with (tmp_path / f"{name}.log").open("wb") as said:
            argv = [sys.executable, "-c", CODE, *words]
            begun[name] = psutil.Popen(argv, stdout=said, stderr=said)

    wait_for(lambda: all(running(folder, "train") for folder in folders.values()))
    at_once = {name: scripts_at_work(folder) for name, folder in folders.items()}
    for name, process in begun.items():
        assert process.wait(timeout=600) == 0, (tmp_path / f"{name}.log").read_text("utf-8")

    for name, folder in folders.items():
        run = manifest.read(folder)
        facts = run.facts["sd-scripts"]
        scripts = Path(str(facts["folder"]))
        assert {stage.launch.cwd for stage in run.stages} == {scripts}
        assert at_once[name] == {scripts}
        assert facts["patches"] == PATCHES[name]
        there = checkout.open_folder(scripts)
        assert sorted(patchwork.carried(there)) == PATCHES[name]
        hashes = {patch: registry.find(patch).sha256() for patch in PATCHES[name]}
        assert run.facts.get("patches", {}) == hashes == dict(there.patches)
        for stage in run.stages:
            log = stage.launch.log.read_text("utf-8")
            assert f"scripts in {scripts}, patches: {', '.join(PATCHES[name]) or 'none'}\n" in log
            if stage.name == "extract":
                assert [said for said in SAID if SAID[said] in log] == [name]
    assert sources(base.folder) == before


@pytest.mark.every_release
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_run_whose_copy_was_deleted_ends_with_the_same_weights(
    rehearsed: Callable[[str, str], Rehearsed], tmp_path: Path
) -> None:
    undisturbed = rehearsed("adacoor", releases.DEFAULT)
    let_go()  # that was prepared in this process
    folder = (tmp_path / "runs" / "rehearsal-adacoor").resolve()
    with (tmp_path / "begun.log").open("wb") as said:
        words = ("rehearse", "adacoor", "--runs", str(tmp_path / "runs"))
        begun = psutil.Popen([sys.executable, "-c", CODE, *words], stdout=said, stderr=said)
    wait_for(lambda: running(folder, "train"))
    begun.kill()
    begun.wait()
    (scripts,) = {stage.launch.cwd for stage in manifest.read(folder).stages}
    assert "keeping adacoor, fast-lora" in typed("checkout", "clean", releases.DEFAULT).stderr
    kill_trainer(folder)
    assert f"deleted {scripts.parent}" in typed("checkout", "clean", releases.DEFAULT).stdout
    assert not scripts.exists()

    resumed = typed("resume", folder)
    assert resumed.returncode == 0, resumed.stderr
    assert {stage.launch.cwd for stage in manifest.read(folder).stages} == {scripts}
    assert tensors.contents(Path(resumed.stdout.strip())) == undisturbed.weights


def scripts_at_work(folder: Path) -> set[Path]:
    """Return where the script lies that trains for a run at this moment."""
    words = [word for process in launch.at_work(folder) for word in process.cmdline()]
    return {Path(word).parent for word in words if Path(word).name == "sdxl_train.py"}
