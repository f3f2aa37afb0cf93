"""The report of real runs: our reader of TensorBoard's files against TensorBoard itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.sdscripts import releases
from tests.upstream.conftest import Rehearsed
from wrapper.reports import events, page
from wrapper.runs import guard
from wrapper.system import proc

pytestmark = [pytest.mark.upstream, pytest.mark.trainer]
RELEASES = [
    pytest.param(
        release,
        marks=[pytest.mark.xdist_group("upstream" if release == releases.DEFAULT else release)]
        + ([] if release == releases.DEFAULT else [pytest.mark.every_release]),
    )
    for release in ("v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1")
]


@pytest.mark.parametrize("release", RELEASES)
def test_our_reader_reads_what_tensorboard_reads(
    release: str, rehearsed: Callable[..., Rehearsed]
) -> None:
    run = rehearsed("adacoor", release).run
    folder = run.folder / guard.EVENTS
    python = run.stage("train").launch.argv[0]
    said = proc.run([python, Path(__file__).with_name("logged.py"), folder]).stdout
    (line,) = (line for line in said.splitlines() if line.startswith("LOGGED "))
    theirs: dict[str, Any] = json.loads(line.removeprefix("LOGGED "))
    ours = {
        tag: [[point.step, point.value] for point in points]
        for tag, points in events.read(folder).scalars.items()
    }
    assert ours == theirs
    assert {"loss", "loss/epoch", "lr/unet", "lr/d*lr/unet"} <= set(ours)
    text = page.write(run.folder).read_text("utf-8")
    assert "loss of each step, smoothed" in text
    assert "How far a step moves a weight on average." in text
    assert "Learning rates by step" in text
    assert "TensorBoard's files are not" not in text
