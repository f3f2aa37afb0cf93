"""The whole job with the real sd-scripts, in environments the tool makes itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.upstream.conftest import Rehearsed
from tests.usually import usually

PRESETS = ("skynet", "lion", "a6000", "adacoor", "a100-ema")
RELEASES = ("v0.8.7", "v0.10.1", "v0.7.1", "v0.9.1", "v0.11.1")
USUAL = {("skynet", "v0.10.1"), ("lion", "v0.8.7")}
RANKS = {"skynet": 16, "lion": 128, "a6000": 16, "adacoor": 128, "a100-ema": 16}

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]


@pytest.mark.parametrize(
    ("preset", "release"), usually(itertools.product(PRESETS, RELEASES), USUAL)
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
