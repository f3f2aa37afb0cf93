"""A rehearsal with pictures, then evaluate, report and card: the real scripts, several releases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.prompts import lines
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout
from wrapper.cli import cli
from wrapper.evaluation import evaluate
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.runs import runner
from wrapper.screen.talk import Talk

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
]
EPOCHS = 4
OVER = (
    f"train.max_train_epochs={EPOCHS}",
    "train.save_every_n_epochs=1",
    "train.learning_rate=1e-3",  # so that a few steps are seen in the pictures
)


def called(*words: str | Path) -> str:
    """Return what a command prints on stdout."""
    done = CliRunner().invoke(cli, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    "release", usually(["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"], ["v0.10.1"])
)
def test_a_run_is_looked_at_from_its_samples_to_its_model_page(
    release: str, shipped: Catalogue, upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    upstream(release)
    preset = shipped.load("skynet", overrides=OVER)
    request = Request(preset, "look ü", tmp_path / "my runs", release)
    asked = replace(request, keep="loras", samples="auto")
    run = prepare_rehearsal.ready(asked, Talk()).run
    runner.carry_out(run, Talk())
    loras = {file.stem for file in (run.folder / "lora").iterdir()}
    assert loras == {"skynet", *(f"skynet-00000{n}" for n in range(1, EPOCHS))}
    prompts = lines.of_text((run.folder / "prompts.txt").read_text("utf-8"))
    samples = [*(run.folder / "samples").iterdir()]
    assert len(samples) == EPOCHS * len(prompts) > 4

    page = Path(called("evaluate", run.folder, "--trigger", "disc", "--strengths", "0.5,1").strip())
    assert page == run.folder / evaluate.FOLDER / "index.html"
    told = json.loads((page.parent / "evaluation.json").read_text("utf-8"))
    assert {prompt["kind"] for prompt in told["prompts"]} == {
        *("caption", "near", "trigger", "without", "generic")
    }
    first = pictures(page.parent, told)
    assert {model for model, _, _ in first} == {"base", *loras}
    for number in range(1, len(told["prompts"]) + 1):
        drawn = [first["base", number, 1.0], *(first[lora, number, 1.0] for lora in loras)]
        assert len(set(drawn)) == len(drawn), number
    assert first["skynet", 1, 0.5] != first["skynet", 1, 1.0]

    kept = page.parent.with_name("kept")
    shutil.move(page.parent / "pictures", kept)
    called("evaluate", run.folder, "--trigger", "disc", "--strengths", "0.5,1")
    again = json.loads((page.parent / "evaluation.json").read_text("utf-8"))
    assert pictures(page.parent, again) == first  # the same seed gives the same picture twice

    report = Path(called("report", run.folder).strip())
    assert "evaluation" in report.read_text("utf-8")
    called("card", run.folder)
    assert (run.folder / "card" / "card.md").is_file()


def pictures(folder: Path, told: dict[str, Any]) -> dict[tuple[str, int, float], bytes]:
    """Return the pixels of each picture; what the script writes beside them differs by time."""
    found = {}
    for one in told["pictures"]:
        with Image.open(folder / one["file"]) as picture:
            found[one["model"], one["prompt"], one["strength"]] = picture.tobytes()
    return found
