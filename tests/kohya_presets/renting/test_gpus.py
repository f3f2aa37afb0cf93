"""The GPUs that are rented, and the paces that somebody measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.renting import gpus, pace
from kohya_presets.training import settings


def test_they_are_sorted_by_memory_and_each_has_its_names() -> None:
    found = gpus.every()
    assert [gpu.gib for gpu in found] == sorted(gpu.gib for gpu in found)
    assert len({gpu.name for gpu in found}) == len(found)
    for gpu in found:
        assert gpu.vast
        assert all(" " not in name for name in gpu.vast)
        assert gpu.runpod.startswith("NVIDIA ")
        assert gpu.vast_ram <= gpu.gib * 1.075  # GB and GiB


def test_an_a100_on_vast_is_never_the_one_with_40_gb() -> None:
    (a100,) = (gpu for gpu in gpus.every() if gpu.name.startswith("A100"))
    assert a100.vast_ram >= 79
    assert "vast" not in a100.sky  # where SkyPilot has both under one name


def test_a_gpu_is_found_by_any_spelling() -> None:
    assert gpus.find("rtx-a6000").name == gpus.find("A6000").name == "RTX A6000"
    assert gpus.find("h100").name == "H100 80GB"
    with pytest.raises(UserError, match="can be RTX 3090, RTX 4090"):
        gpus.find("RTX")
    with pytest.raises(UserError, match="there is no GPU 'V100'"):
        gpus.find("V100")


def test_each_pace_names_a_gpu_a_date_and_a_source() -> None:
    names = {gpu.name for gpu in gpus.every()}
    for one in pace.every():
        assert one.gpu in names
        assert one.source.startswith("https://")
        assert one.date.year >= 2023


def test_a_pace_counts_only_under_the_same_conditions(shipped: Catalogue) -> None:
    h100 = gpus.find("H100 80GB")
    overrides = ("train.full_bf16=true", "dataset.batch_size=4", "train.cache_latents=true")
    same = settings.of_preset(
        shipped.load("skynet", overrides=overrides),
        "v0.10.1",
    )
    wanted = pace.conditions(same)
    found = pace.of(h100, wanted)
    assert found is not None
    assert found.steps_per_second == 0.787
    assert pace.of(gpus.find("H200"), wanted) is None
    others = {"batch_size": 1, "precision": "fp16", "script": "x.py", "resolution": (512, 512)}
    for key, value in others.items():
        assert pace.of(h100, replace(wanted, **{key: value})) is None
