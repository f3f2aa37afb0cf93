"""Killed fifty times at random, run after run: the same LoRA, and nothing lost, halved or left."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from kohya_presets.loras import weights
from tests import tensors
from tests.wrapper.runs import faked
from tests.wrapper.runs.faked import Heard
from tests.wrapper.runs.killing import PATIENCE_SECONDS, resume
from wrapper.runs import manifest, runner
from wrapper.system import launch

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals"),
    pytest.mark.every_release,  # it takes minutes
]
KILLS, RUNS = 50, 5


@pytest.mark.parametrize("seed", range(RUNS))
def test_the_same_lora_and_nothing_lost(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    undisturbed = faked.new(tmp_path / "undisturbed", {"train": ("--on-the-way",)})
    made = runner.carry_out(undisturbed, Heard(undisturbed.folder))
    assert made is not None
    folder = (tmp_path / "my runs ü" / "korra").resolve()
    faked.new(folder, {"train": ("--on-the-way",)})
    killed, before = 0, set[bytes]()
    while killed < KILLS // RUNS:
        for stage in ("miniature", "train", "extract", "resize"):
            faked.hold(folder, stage) if drawn.random() < 0.3 else faked.release(folder, stage)
        ours = resume(folder)
        time.sleep(drawn.uniform(0.2, 1.5))
        for process in launch.at_work(folder) if drawn.random() < 0.6 else []:
            process.kill()
        ours.kill()
        ours.wait()
        killed += 1
        before |= saved(folder)
        assert before <= saved(folder), "a checkpoint, state or sample is gone"
    for stage in ("miniature", "train", "extract", "resize"):
        faked.release(folder, stage)
    last = resume(folder)
    assert last.wait(PATIENCE_SECONDS) == 0
    assert not launch.at_work(folder)
    assert tensors.contents(manifest.read(folder).product) == tensors.contents(made.file)
    assert before <= saved(folder)
    for file in folder.rglob("*.safetensors"):
        weights.read(file)  # raises for half a file


def saved(folder: Path) -> set[bytes]:
    """Return what training has saved on its way, wherever it lies now, by name and content."""
    found = [*folder.rglob("*-0*.safetensors"), *folder.rglob("*.png")]
    found += [*folder.rglob("*-state*/model.safetensors")]
    return {file.name.split("-")[0].encode() + file.read_bytes() for file in found if whole(file)}


def whole(file: Path) -> bool:
    try:
        if file.suffix == ".safetensors":
            weights.read(file)
    except Exception:
        return False
    return True
