"""What is refused before a run does stop the real scripts, or goes wrong in them without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts.scripts import CHECKPOINT
from kohya_presets.validate import base
from tests.upstream.training import Training
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]

RELEASES = ["v0.8.7", "v0.10.1"]
# Both run in the trainer's Python, on the miniature.
LOAD = """
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
from library import sdxl_model_util

base, out = sys.argv[1], Path(sys.argv[2])
full = load_file(base)
first = "model.diffusion_model.input_blocks.0.0.weight"
nine = torch.zeros(full[first].shape[0], 9, 3, 3)

def without(prefix):
    return {name: tensor for name, tensor in full.items() if not name.startswith(prefix)}

changed = {
    "whole": full,
    "inpainting": {**full, first: nine},
    "no-vae": without("first_stage_model."),
    "no-text-1": without("conditioner.embedders.0."),
    "no-text-2": without("conditioner.embedders.1."),
    "v": {**full, "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)},
    "fp8": {n: t.to(torch.float8_e4m3fn) if t.ndim > 1 else t for n, t in full.items()},
}
for name, tensors in changed.items():
    file = str(out / f"{name}.safetensors")
    save_file({n: t.contiguous() for n, t in tensors.items()}, file)
    try:
        unet = sdxl_model_util.load_models_from_sdxl_checkpoint("sdxl", file, "cpu")[3]
        print("SAID", name, "loaded", next(unet.parameters()).dtype)
    except Exception as error:
        print("SAID", name, type(error).__name__)
"""
SAMPLE = """
import sys
from argparse import Namespace
from unittest.mock import MagicMock
from library import train_util

prompts = sys.argv[1]
for name, every, file in (
    ("none", 1, None), ("zero", 0, prompts + ".txt"), ("gone", 1, prompts + ".gone.txt"),
    ("other", 1, prompts + ".text"), ("good", 1, prompts + ".txt"),
):
    args = Namespace(
        sample_at_first=False, sample_every_n_epochs=every, sample_every_n_steps=None,
        sample_prompts=file, sample_sampler="ddim", v_parameterization=False, output_dir=prompts,
        output_name="x", clip_skip=None,
    )
    accelerator, pipe = MagicMock(), MagicMock()
    accelerator.num_processes = 1
    try:
        train_util.sample_images_common(
            pipe, accelerator, args, 1, 6, "cpu", MagicMock(), MagicMock(), MagicMock(), MagicMock()
        )
        print("SAID", name, "drawn" if pipe.called else "nothing")
    except Exception as error:
        print("SAID", name, type(error).__name__)
"""


@pytest.fixture(scope="module")
def kept() -> dict[str, Training]:
    return {}


@pytest.fixture
def asked(
    kept: dict[str, Training],
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str, Path], dict[str, str]]:
    """Return a function that runs one of the texts above on a release, and gives what was said."""

    def get(release: str, text: str, argument: Path) -> dict[str, str]:
        upstream(release)
        if release not in kept:
            kept[release] = Training(shipped.load("skynet"), release, tmp_path_factory.mktemp("r"))
        at = kept[release]
        script = at.folder / "asked.py"
        script.write_text(text, "utf-8")
        words = [str(at.base), str(argument)] if text is LOAD else [str(argument)]
        lines = at.script(script, *words).stdout.splitlines()
        said = [line.split(maxsplit=2)[1:] for line in lines if line.startswith("SAID ")]
        return {name: what for name, what in said}  # noqa: C416

    return get


@pytest.mark.parametrize("release", usually(RELEASES, ["v0.10.1"]))
def test_a_base_model_that_is_refused(
    release: str, asked: Callable[[str, str, Path], dict[str, str]], tmp_path: Path
) -> None:
    said = asked(release, LOAD, tmp_path)
    headers = {name: weights.read(tmp_path / f"{name}.safetensors") for name in said}
    # Stopped by both.
    stopped = {name for name, what in said.items() if not what.startswith("loaded")}
    assert stopped == {"inpainting", "no-vae", "no-text-1", "no-text-2"}
    lacks = {name: weights.kind(header) for name, header in headers.items()}
    assert {n for n, kind in lacks.items() if kind != CHECKPOINT} == stopped - {"inpainting"}
    # sd-scripts loads these without a word: v as if it were noise, fp8 as fp32.
    assert said["v"] == said["fp8"] == said["whole"] == "loaded torch.float32"
    found = {
        name: [p.code for p in base.problems(headers[name], "sdxl_train.py", {})]
        for name in ("whole", "inpainting", "v", "fp8")
    }
    assert found == {
        "whole": [],
        "inpainting": ["base-channels"],
        "v": ["base-predicts-v"],
        "fp8": ["base-precision"],
    }


@pytest.mark.parametrize("release", usually(RELEASES, ["v0.10.1"]))
def test_samples_without_prompts(
    release: str, asked: Callable[[str, str, Path], dict[str, str]], tmp_path: Path
) -> None:
    """After an epoch. From v0.8.6 on, `verify_training_args` turns a 0 off before it comes here."""
    for suffix in (".txt", ".text"):
        (tmp_path / f"prompts{suffix}").write_text("a disc\n", "utf-8")
    said = asked(release, SAMPLE, tmp_path / "prompts")
    assert said.pop("good") in ("drawn", "AssertionError")  # of v0.8.7: there is no pipeline here
    assert said == {
        "none": "TypeError",
        "zero": "ZeroDivisionError",
        "gone": "nothing",
        "other": "UnboundLocalError",
    }
