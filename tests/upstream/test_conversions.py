"""`extract` and `resize` with the real scripts make the LoRAs that a run's stages make."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import releases
from tests import tensors
from tests.upstream.conftest import Rehearsed
from wrapper.cli import cli
from wrapper.conversions import carry_out, ready
from wrapper.conversions.ready import Request
from wrapper.rehearsal import adapt
from wrapper.screen.talk import Talk

# What tells one file from another: its title, when it was made, and hashes of these.
OWN = ("modelspec.title", "modelspec.date", "modelspec.hash_sha256", "sshs_legacy_hash")

pytestmark = [pytest.mark.upstream, pytest.mark.trainer]


def assert_same(made: Path, of_run: Path) -> None:
    """Fail unless all tensors are the same byte for byte, and the metadata but for `OWN`."""
    assert tensors.contents(made) == tensors.contents(of_run)
    one, other = (
        {k: v for k, v in weights.read(file).metadata.items() if k not in OWN}
        for file in (made, of_run)
    )
    assert one == other


def stages(done: Rehearsed) -> dict[str, Path]:
    return {stage.name: stage.output for stage in done.run.stages}


@pytest.mark.xdist_group("v0.8.7")
@pytest.mark.every_release
def test_many_models_become_the_lora_of_a_run(
    rehearsed: Callable[..., Rehearsed], tmp_path: Path
) -> None:
    """As it is typed, with fast-lora: as it is, the script builds a model of SDXL's size."""
    release, made = "v0.8.7", stages(rehearsed("lion", "v0.8.7"))
    models = tmp_path / "my models ü 東京"
    models.mkdir()
    files = [models / f"korra-00000{n} é.safetensors" for n in (1, 2)]
    for file in files:
        shutil.copy(made["train"], file)
    out = tmp_path / "my loras ü"
    words = ("--base", made["miniature"], "--tuned", *files, "--out", out, "--release", release)
    said = CliRunner().invoke(cli, ["extract", *map(str, words)], catch_exceptions=False)
    loras = [out / f"korra-00000{n} é-128.safetensors" for n in (1, 2)]
    assert said.stdout.splitlines() == [str(lora) for lora in loras]
    assert "extract with v0.8.7, [extract] of the preset lion" in said.stderr
    assert "U-Net 132 modules, text encoder 1 72, text encoder 2 24" in said.stderr
    assert sorted(out.iterdir()) == loras
    for lora in loras:
        assert_same(lora, made["extract"])
    resized = ("--lora", loras[0], "--out", out, "--set", "resize.new_rank=8")
    words = (*resized, "--release", release)
    said = CliRunner().invoke(cli, ["resize", *map(str, words)], catch_exceptions=False)
    assert said.stdout.splitlines() == [str(out / "korra-000001 é-8.safetensors")]
    assert ": rank 8, fp16" in said.stderr


@pytest.mark.xdist_group("upstream")
@pytest.mark.every_release
def test_the_stock_scripts_extract_and_resize_as_in_a_run(
    rehearsed: Callable[..., Rehearsed], shipped: Catalogue, tmp_path: Path
) -> None:
    made = stages(rehearsed("skynet", releases.DEFAULT))
    small = adapt.in_front(tmp_path / "observed", standin=False)
    asked = Request(
        shipped.load("skynet"),
        is_default=False,
        sources=(made["train"],),
        out=tmp_path / "extracted ü.safetensors",
        force=False,
        release=releases.DEFAULT,
        in_front=small,
    )
    jobs = ready.extractions(asked, str(made["miniature"]), Talk())
    assert [lora.rank for _, lora in carry_out.every(jobs, Talk())] == [128]
    assert_same(asked.out, made["extract"])
    again = replace(asked, sources=(asked.out,), out=tmp_path / "resized.safetensors")
    again = replace(again, in_front=())  # as on any machine
    jobs = ready.resizings(again, Talk())
    assert [lora.rank for _, lora in carry_out.every(jobs, Talk())] == [16]
    assert_same(again.out, made["resize"])
