from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import toml

from kohya_presets.presets.catalogue import Catalogue
from wrapper.planning import job
from wrapper.planning.job import Plan, Site
from wrapper.system.launch import RUN_MARK

RUN = Path("/runs/my korra ü")
SITE = Site(
    run_dir=RUN,
    scripts=Path("/sd scripts"),
    python="/env/bin/python",
    data=Path("/pictures"),
    base=Path("/sdxl.safetensors"),
    device="cuda",
)


def plan(name: str, shipped: Catalogue, *overrides: str) -> Plan:
    return job.plan(shipped.load(name, overrides=overrides), "korra", SITE, seed=7)


def test_three_stages_hand_their_files_on(shipped: Catalogue) -> None:
    train, extract, resize = plan("skynet", shipped).stages
    assert train.output == RUN / "model/korra.safetensors"
    assert f"--model_tuned={train.output}" in extract.launch.argv
    assert f"--model_org={SITE.base}" in extract.launch.argv
    assert extract.output == RUN / "extracted/korra.safetensors"
    assert f"--model={extract.output}" in resize.launch.argv
    assert resize.output == RUN / "lora/korra.safetensors"
    for stage in (extract, resize):
        assert f"--save_to={stage.makes}" in stage.launch.argv
        assert "--device=cuda" in stage.launch.argv


def test_without_a_resize_the_extraction_is_the_product(shipped: Catalogue) -> None:
    stages = plan("lion", shipped).stages
    assert [stage.name for stage in stages] == ["train", "extract"]
    assert stages[-1].output == RUN / "lora/korra.safetensors"


def test_without_an_extraction_there_is_only_the_model(shipped: Catalogue) -> None:
    stages = plan("skynet", shipped, "extract=unset", "resize=unset").stages
    assert [stage.name for stage in stages] == ["train"]


def test_the_preset_decides_the_precision_of_the_launcher(shipped: Catalogue) -> None:
    made = plan("skynet", shipped, "train.mixed_precision=bf16")
    train = made.stages[0]
    assert "mixed_precision: 'bf16'\n" in made.files["accelerate.yaml"]
    assert f"--config_file={RUN / 'accelerate.yaml'}" in train.launch.argv
    assert train.launch.argv[-2:] == (
        "/sd scripts/sdxl_train.py",
        f"--config_file={RUN / 'config.toml'}",
    )


def test_a_seed_is_given_where_the_preset_has_none(shipped: Catalogue) -> None:
    assert toml.loads(plan("skynet", shipped).files["config.toml"])["seed"] == 7
    own = plan("skynet", shipped, "train.seed=3")
    assert toml.loads(own.files["config.toml"])["seed"] == 3


def test_every_process_can_be_told_to_be_the_runs(shipped: Catalogue) -> None:
    for stage in plan("skynet", shipped).stages:
        assert stage.launch.env[RUN_MARK] == str(RUN)
        assert stage.launch.env["PYTHONPATH"] == str(SITE.scripts)


@pytest.mark.parametrize("name", ["skynet", "lion", "a6000"])
def test_same_input_same_plan(name: str, shipped: Catalogue) -> None:
    assert plan(name, shipped) == plan(name, shipped)


@pytest.mark.parametrize(
    "script", ["sdxl_train_network.py", "train_network.py", "flux_train_network.py"]
)
def test_a_lora_script_makes_a_lora_and_that_is_the_product(
    script: str, shipped: Catalogue
) -> None:
    preset = replace(shipped.load("skynet"), script=script, extract=None, resize=None)
    (train,) = job.plan(preset, "korra", SITE, seed=7).stages
    assert (train.expects, train.output) == ("a LoRA", RUN / "lora/korra.safetensors")
    assert str(SITE.scripts / script) in train.launch.argv
