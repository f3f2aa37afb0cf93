"""Rehearsals with the real scripts, each made once for every test that asks what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kohya_presets.loras.summary import Lora
from kohya_presets.presets.catalogue import Catalogue
from tests import tensors
from wrapper.checkouts.checkout import Checkout
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.runs import manifest, proof, runner
from wrapper.runs.manifest import Run
from wrapper.runs.proof import Proof
from wrapper.screen.talk import Talk

Key = tuple[str, ...]


@dataclass(frozen=True)
class Rehearsed:
    """What came of a rehearsal that nobody disturbed."""

    run: Run
    standin: bool
    made: Lora | None
    proof: Proof
    weights: dict[str, bytes]


@pytest.fixture(scope="session")
def kept() -> dict[Key, Rehearsed]:
    """Hold what was rehearsed by now, by preset and release."""
    return {}


@pytest.fixture
def rehearsed(
    kept: dict[Key, Rehearsed],
    shipped: Catalogue,
    upstream: Callable[[str], Checkout],
    tmp_path: Path,
) -> Callable[..., Rehearsed]:
    """Return a function that rehearses a preset on a release, with settings changed."""

    def get(preset: str, release: str, *overrides: str) -> Rehearsed:
        upstream(release)
        key = (preset, release, *overrides)
        if key not in kept:
            name, runs = f"rehearsal-{preset}", tmp_path / "undisturbed"
            loaded = shipped.load(preset, overrides=overrides)
            ready = prepare_rehearsal.ready(Request(loaded, name, runs, release), Talk())
            made = runner.carry_out(ready.run, Talk())
            run = manifest.read(ready.run.folder)
            weights = tensors.contents(run.product)
            found = proof.of(run, ready.preset, ready.trained)
            kept[key] = Rehearsed(run, ready.standin, made, found, weights)
        return kept[key]

    return get
