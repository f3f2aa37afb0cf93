"""The whole job with the real sd-scripts, in environments the tool makes itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.presets.catalogue import Catalogue
from wrapper.checkouts.checkout import Checkout
from wrapper.runs import manifest, rehearsing, runner
from wrapper.runs.request import Request
from wrapper.screen.talk import Talk

PRESETS = ("skynet", "lion", "a6000", "adacoor", "a100-ema")
RELEASES = ("v0.8.7", "v0.10.1", "v0.7.1", "v0.9.1", "v0.11.1")
USUAL = {(preset, release) for preset in PRESETS[:2] for release in RELEASES[:2]}
RANKS = {"skynet": 16, "lion": 128, "a6000": 16, "adacoor": 128, "a100-ema": 16}

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("release", RELEASES)
def test_the_real_scripts_make_a_whole_lora(
    preset: str,
    release: str,
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if (preset, release) not in USUAL and not request.config.getoption("--every-release"):
        pytest.skip("only with --every-release (make upstream)")
    upstream(release)
    asked = Request(shipped.load(preset), f"rehearsal-{preset}", tmp_path / "runs", release)
    ready = rehearsing.ready(asked, Talk())
    made = runner.carry_out(ready.run, Talk())
    assert not ready.standin
    assert made is not None
    assert made.rank == RANKS[preset]
    assert (made.unet, made.text_encoder_1, made.text_encoder_2) == (132, 72, 24)
    facts = manifest.read(ready.run.folder).facts["sd-scripts"]
    assert (facts["release"], facts["standin"]) == (release, False)
