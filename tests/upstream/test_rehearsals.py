"""The whole job with the real sd-scripts, in environments the tool makes itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from kohya_presets.sdscripts import releases
from tests.upstream.conftest import Rehearsed

PRESETS = ("skynet", "lion", "a6000", "adacoor", "a100-ema")
RELEASES = ("v0.8.7", "v0.10.1", "v0.7.1", "v0.9.1", "v0.11.1")
USUAL = {("skynet", "v0.10.1"), ("lion", "v0.8.7")}
RANKS = {"skynet": 16, "lion": 128, "a6000": 16, "adacoor": 128, "a100-ema": 16}

pytestmark = [pytest.mark.upstream, pytest.mark.trainer]


def _grouped(preset: str, release: str) -> Any:
    """Return a case, grouped by release: they share its checkout, and the default's with others."""
    group = pytest.mark.xdist_group("upstream" if release == releases.DEFAULT else release)
    marks = [group] if (preset, release) in USUAL else [group, pytest.mark.every_release]
    return pytest.param(preset, release, marks=marks)


@pytest.mark.parametrize(
    ("preset", "release"), [_grouped(*case) for case in itertools.product(PRESETS, RELEASES)]
)
def test_the_real_scripts_make_a_whole_lora(
    preset: str,
    release: str,
    rehearsed: Callable[[str, str], Rehearsed],
) -> None:
    done = rehearsed(preset, release)
    assert not done.standin
    made = done.made
    assert made is not None
    assert made.rank == RANKS[preset]
    assert (made.unet, made.text_encoder_1, made.text_encoder_2) == (132, 72, 24)
    facts = done.run.facts["sd-scripts"]
    assert (facts["release"], facts["standin"]) == (release, False)
    assert done.proof.missed == []
    said = "\n".join(done.proof.proved)
    for stage in ("sdxl_train", "extract_lora_from_models"):
        assert re.search(rf"{stage}\.py used (\d+) of \1 settings", said)
    assert "training took 12 of 12 steps" in said
    assert re.search(r"training read [56] of 6 images\ntraining read [56] of 6 captions", said)
    number = r"[\d.e-]+"
    parts = rf"U-Net by {number}, text encoder 1 by {number} and text encoder 2 by {number}"
    assert re.search(rf"training changed: {parts} \(norm", said)
    modules = re.sub(r" by", r" \\(\\d+ modules\\) by", parts)
    assert re.search(rf"{preset}\.safetensors is complete and changes: {modules} \(norm", said)


@pytest.mark.xdist_group("upstream")
def test_a_part_that_is_not_trained_is_not_said_to_be(rehearsed: Callable[..., Rehearsed]) -> None:
    rates = ("train.learning_rate=0.0", "train.learning_rate_te1=1e-4")
    # Saved in another precision than the base: what differs in the other parts is rounding.
    done = rehearsed("skynet", releases.DEFAULT, *rates, 'train.save_precision="bf16"')
    said = "\n".join(done.proof.proved)
    assert re.search(r"training changed: text encoder 1 by [\d.e-]+ \(norm", said)
    assert re.search(r"changes: text encoder 1 \(72 modules\) by [\d.e-]+ \(norm", said)
    assert "U-Net" not in said
    assert "text encoder 2" not in said
    rounded = [line for line in done.proof.missed if "rounding" in line]
    assert ["U-Net" in line or "text encoder 2" in line for line in rounded] == [True, True]
