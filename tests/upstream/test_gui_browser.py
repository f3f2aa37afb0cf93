"""A person chooses our preset in the real Kohya GUI and has the command printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kohya_presets.presets.catalogue import Catalogue
from tests.conftest import UPSTREAM_HOME
from tests.upstream import gui_browser, gui_sources
from tests.upstream.same_training import assert_same
from wrapper.cli import cli

TAGS = ("v25.2.1", "v26.0.0")
NAME = "skynet"
# The finetune tab's labels, and what the preset says there.
SHOWN = {
    "Max train epoch": "100",
    "Epoch": "100",
    "Optimizer": "AdamW",
    "LR Scheduler": "constant",
    "Learning rate TE1": "0.000001",
}

pytestmark = [pytest.mark.upstream, pytest.mark.xdist_group("upstream")]


@pytest.mark.every_release
@pytest.mark.parametrize("tag", TAGS)
def test_a_person_presses_print(tag: str, shipped: Catalogue, tmp_path: Path) -> None:
    gui_browser.chromium()
    gui = gui_sources.get(tag, tmp_path / "gui")
    python = gui_browser.python(UPSTREAM_HOME)
    images, base, made = tmp_path / "images", tmp_path / "base.safetensors", tmp_path / "made"
    images.mkdir()
    made.mkdir()
    base.touch()  # nothing the GUI could know as SDXL: the preset must say so
    words = ("gui", "export", NAME, "--install", str(gui), "--data", str(images))
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    config = gui / "presets/finetune/user_presets" / f"{NAME}.dataset.toml"

    pictures = UPSTREAM_HOME / "kohya-gui"  # kept, to be looked at
    with gui_browser.served(gui, python, tmp_path / "gui.log") as url:
        printed = gui_browser.printed(
            gui,
            url,
            python,
            f"user_presets/{NAME}",
            pictures / f"{tag}.png",
            shown={**SHOWN, "Dataset config file": str(config)},
            filled={
                "Pretrained model name or path": str(base),
                "Trained Model output name": "product",
                "Output directory for trained model": str(made),
            },
        )

    finetune, _ = gui_sources.tabs(tag)
    places = {
        "pretrained_model_name_or_path": str(base),
        "output_dir": str(made),
        "output_name": "product",
        "dataset_config": str(config),
    }
    assert_same(gui_sources.effective(finetune, printed), shipped.load(NAME), places)
