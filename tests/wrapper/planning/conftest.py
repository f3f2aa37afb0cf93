"""A run that the tests of planning share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kohya_presets.presets.catalogue import Catalogue
from tests import tensors
from tests.wrapper.planning.tiny import PRESET
from wrapper.environments import environment
from wrapper.environments.environment import Probe
from wrapper.planning import prepare_training
from wrapper.planning.request import Request
from wrapper.rehearsal import adapt, pictures
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a run of the stand-in that is prepared and not started; nothing of it needs torch."""
    monkeypatch.setenv("KOHYA_PRESETS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(environment, "probe", lambda _: Probe("3.11", {"torch": "2"}, {}, None))
    file = tmp_path / "tiny.toml"
    file.write_text(PRESET, "utf-8")
    pictures.draw(tmp_path / "pictures ü", count=2)
    base = tensors.write(tmp_path / "base.safetensors", tensors.SDXL)
    preset, runs = Catalogue(()).load(str(file)), tmp_path / "runs"
    request = Request(preset, "korra", runs, "v0.10.1", adapt.STANDIN, sys.executable)
    return prepare_training.ready(request, tmp_path / "pictures ü", str(base), Talk())
