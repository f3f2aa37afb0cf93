"""A kill -9 while the real scripts work, then `resume`: the same weights as without the kill."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kohya_presets.loras import weights
from kohya_presets.sdscripts import releases
from tests import tensors
from tests.upstream.conftest import Rehearsed
from tests.usually import usually
from tests.wrapper.runs.killing import (
    STAGES,
    begin,
    finished,
    kill_trainer,
    running,
    started,
    wait_for,
)
from wrapper.runs.kept import states
from wrapper.system import launch, proc

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]
CODE = "from wrapper.cli import main; main()"


@pytest.mark.every_release
@pytest.mark.parametrize("stage", STAGES)
def test_the_weights_are_the_same_as_without_a_kill(
    stage: str,
    rehearsed: Callable[[str, str], Rehearsed],
    tmp_path: Path,
) -> None:
    undisturbed = rehearsed("skynet", releases.DEFAULT).weights
    folder = (tmp_path / "runs" / "rehearsal-skynet").resolve()
    begun = begin(tmp_path / "runs")
    wait_for(lambda: running(folder, stage))
    time.sleep(3)  # into the work, past the start of the process
    begun.kill()
    begun.wait()
    kill_trainer(folder)
    before = started(folder)
    done = finished(folder, before=stage)

    resumed = proc.run([sys.executable, "-c", CODE, "resume", folder])

    assert tensors.contents(Path(resumed.stdout.strip())) == undisturbed
    assert all(started(folder)[name] == before[name] for name in done)


@pytest.mark.parametrize("ending", usually(["killed", "told to stop"], ["killed"]))
def test_training_goes_on_from_its_newest_state(
    ending: str, rehearsed: Callable[[str, str], Rehearsed], tmp_path: Path
) -> None:
    undisturbed = rehearsed("skynet", releases.DEFAULT).weights
    folder = (tmp_path / "runs" / "rehearsal-skynet").resolve()
    begun = begin(tmp_path / "runs", "--set", "train.state_every_minutes=0.001")
    wait_for(lambda: states.newest(folder) is not None)
    if ending == "killed":
        begun.kill()
        kill_trainer(folder)
    else:
        begun.terminate()
    code = begun.wait()
    saved = states.newest(folder)
    assert saved is not None
    if ending == "told to stop":
        assert code == 130
        said = (tmp_path / "begun.log").read_text("utf-8")
        assert f"train: stopped by SIGTERM after step {saved.step}" in said
    assert not launch.at_work(folder)

    resumed = proc.run([sys.executable, "-c", CODE, "resume", folder])

    assert f"train: continuing after step {saved.step} of 12" in resumed.stderr
    assert tensors.contents(Path(resumed.stdout.strip())) == undisturbed
    assert [file.name for file in (folder / "model").iterdir()] == ["skynet.safetensors"]


@pytest.mark.every_release
def test_ten_random_kills_make_the_same_lora(
    rehearsed: Callable[[str, str], Rehearsed], tmp_path: Path
) -> None:
    undisturbed, drawn = rehearsed("skynet", releases.DEFAULT).weights, random.Random(0)
    folder = (tmp_path / "runs" / "rehearsal-skynet").resolve()
    begun = begin(tmp_path / "runs", "--set", "train.state_every_minutes=0.001")
    wait_for(lambda: running(folder, "miniature"))
    seen: set[str] = set()
    for number in range(10):
        if number:
            begun = psutil.Popen([sys.executable, "-c", CODE, "resume", str(folder)])
        time.sleep(drawn.uniform(4, 16))
        if drawn.random() < 0.3:
            begun.terminate()
            begun.wait()
        else:
            begun.kill()
            begun.wait()
            if drawn.random() < 0.7:
                kill_trainer(folder)
        before = seen
        seen = {file.name for file in (folder / "states").glob("step*[0-9]")}
        assert seen or not before, "a state is gone"
    resumed = proc.run([sys.executable, "-c", CODE, "resume", folder])
    assert tensors.contents(Path(resumed.stdout.strip())) == undisturbed
    assert not launch.at_work(folder)
    for file in folder.rglob("*.safetensors"):
        weights.read(file)  # raises for half a file
