"""`train` from the request to the product, on the stand-in as a user's own checkout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.errors import PresetError, ProblemsError, UserError
from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from wrapper.environments import environment
from wrapper.environments.environment import Probe
from wrapper.rehearsal import adapt, pictures
from wrapper.runs import manifest, rehearsing, runner, training
from wrapper.runs.request import Request
from wrapper.screen.talk import Talk
from wrapper.system import proc

# Only what every release has: the stand-in, taken for a checkout, is like the oldest of them.
PRESET = """\
schema = 1
[preset]
name = "tiny"
title = "Tiny"
summary = "A test"
script = "sdxl_train.py"
releases = ">=0.7.0"
[train]
optimizer_type = "AdamW"
learning_rate = 1e-4
max_train_epochs = 1
[dataset]
resolution = 64
caption_extension = ".txt"
[extract]
sdxl = true
dim = 4
"""


@pytest.fixture
def preset(tmp_path: Path) -> Preset:
    file = tmp_path / "tiny.toml"
    file.write_text(PRESET, "utf-8")
    return Catalogue(()).load(str(file))


@pytest.fixture
def asked(
    preset: Preset, tmp_path: Path, trainer_python: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Request, Path, str]:
    """Return a request that fits, its images and its base model."""
    monkeypatch.setattr(environment, "probe", lambda _: Probe("3.11", {"torch": "2"}, {}, None))
    data, base = tmp_path / "my pictures ü", tmp_path / "base.safetensors"
    pictures.draw(data, count=2)
    maker = adapt.STANDIN / "make_checkpoint.py"
    words = [trainer_python, maker, "--out", base, "--tokenizers", tmp_path / "tokenizers"]
    proc.run(words, env={"PYTHONPATH": str(adapt.STANDIN)})
    request = Request(preset, "korra", tmp_path / "runs", "v0.10.1", adapt.STANDIN, trainer_python)
    return request, data, str(base)


@pytest.mark.trainer
def test_a_run_records_what_went_in_and_what_came_out(
    asked: tuple[Request, Path, str],
) -> None:
    request, data, base = asked
    before = {f: f.read_bytes() for f in data.iterdir()}
    run = training.ready(request, data, base, Talk())
    made = runner.carry_out(run, Talk())
    assert made is not None
    assert (made.rank, made.file) == (4, request.folder / "lora" / "korra.safetensors")
    facts = manifest.read(request.folder).facts
    assert facts["base"]["sha256"] == weights.sha256(Path(base))
    assert facts["data"] == {"folder": str(data), "images": 2}
    assert facts["sd-scripts"]["folder"] == str(adapt.STANDIN)
    assert {f: f.read_bytes() for f in data.iterdir()} == before


@pytest.mark.trainer
def test_a_runs_name_is_taken_once(asked: tuple[Request, Path, str]) -> None:
    request, data, base = asked
    training.ready(request, data, base, Talk())
    with pytest.raises(UserError, match="already exists") as caught:
        training.ready(request, data, base, Talk())
    assert "resume" in (caught.value.hint or "")


@pytest.mark.trainer
def test_nothing_is_made_when_something_does_not_fit(
    asked: tuple[Request, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, data, base = asked
    broken = Probe("3.11", {}, {"diffusers": "ImportError: x"}, None)
    monkeypatch.setattr(environment, "probe", lambda _: broken)
    with pytest.raises(ProblemsError) as caught:
        training.ready(request, data, base, Talk())
    assert [p.code for p in caught.value.problems] == ["broken-package"]
    assert not request.runs.exists()


def test_a_dry_run_looks_at_the_preset_alone(preset: Preset, tmp_path: Path) -> None:
    request = Request(preset, "korra", tmp_path / "runs", "v0.9.1")
    plan = training.dry(request, tmp_path / "gone", "owner/repo/x.safetensors", Talk())
    words = plan.stages[1].launch.argv
    assert f"--model_org=owner{os.sep}repo{os.sep}x.safetensors" in words
    assert "v0.9.1" in plan.stages[0].launch.argv[0]
    assert not (tmp_path / "runs").exists()
    wrong = replace(request, preset=replace(preset, patches=("emma",)))
    with pytest.raises(PresetError) as caught:
        training.dry(wrong, tmp_path / "gone", "owner/repo/x.safetensors", Talk())
    assert [p.code for p in caught.value.problems] == ["unknown-patch"]


def test_a_model_without_a_miniature_is_not_rehearsed(preset: Preset, tmp_path: Path) -> None:
    flux = replace(preset, script="flux_train_network.py")
    with pytest.raises(UserError, match="cannot be rehearsed"):
        rehearsing.ready(Request(flux, "x", tmp_path / "runs", "v0.10.1"), Talk())
    assert not (tmp_path / "runs").exists()
