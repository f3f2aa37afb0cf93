"""A kill -9 while the real scripts work, then `resume`: the same weights as without the kill."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import tensors
from tests.wrapper.runs.killing import (
    STAGES,
    begin,
    finished,
    kill_trainer,
    running,
    started,
    wait_for,
)
from wrapper.checkouts.checkout import Checkout
from wrapper.system import proc

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]
CODE = "from wrapper.cli import main; main()"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Hold the weights of a rehearsal that nobody killed, once it was made."""
    return {}


@pytest.mark.parametrize("stage", STAGES)
def test_the_weights_are_the_same_as_without_a_kill(
    stage: str,
    upstream: Callable[[str], Checkout],
    undisturbed: dict[str, dict[str, bytes]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if stage != "train" and not request.config.getoption("--every-release"):
        pytest.skip("only with --every-release (make upstream)")
    upstream("v0.10.1")
    if not undisturbed:
        words = ("rehearse", "skynet", "--runs", tmp_path / "calm")
        calm = proc.run([sys.executable, "-c", CODE, *words])
        undisturbed["lora"] = tensors.contents(Path(calm.stdout.strip()))
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

    assert tensors.contents(Path(resumed.stdout.strip())) == undisturbed["lora"]
    assert all(started(folder)[name] == before[name] for name in done)
