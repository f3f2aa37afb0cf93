"""The whole job with the real sd-scripts, in environments the tool makes itself."""

from __future__ import annotations

import itertools
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
