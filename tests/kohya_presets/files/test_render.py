from __future__ import annotations

import string
from pathlib import Path

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.files import render
from kohya_presets.presets.catalogue import SHIPPED, Catalogue

PLACES = Path("/data/my pictures"), Path("/m/sdxl.safetensors"), Path("/out")
ODD = st.text(
    st.sampled_from(string.ascii_letters + " '\"\\#,[]{}=äß東🎨().-_%$"), min_size=1, max_size=20
)


def paths(data: Path = PLACES[0], base: Path = PLACES[1], output: Path = PLACES[2]) -> render.Paths:
    return render.Paths(data, base, output, "skynet", output / "dataset.toml")


@pytest.mark.parametrize("name", ["a100-ema", "a6000", "adacoor", "lion", "skynet"])
def test_the_config_is_the_preset_and_the_paths_and_nothing_else(
    name: str, shipped: Catalogue
) -> None:
    found = shipped.load(name)
    assert toml.loads(render.config(found, paths())) == {
        **found.train,
        "pretrained_model_name_or_path": str(PLACES[1]),
        "output_dir": str(PLACES[2]),
        "output_name": "skynet",
        "dataset_config": str(PLACES[2] / "dataset.toml"),
    }


@pytest.mark.parametrize("name", ["a6000", "skynet"])
def test_each_dataset_key_lies_on_its_level(name: str, shipped: Catalogue) -> None:
    found = shipped.load(name)
    (dataset,) = toml.loads(render.dataset(found, paths()))["datasets"]
    (subset,) = dataset.pop("subsets")
    assert subset.pop("image_dir") == str(PLACES[0])
    assert set(subset) == {"num_repeats", "caption_extension", "random_crop"}
    assert {**dataset, **subset} == dict(found.dataset)


@given(ODD, ODD, ODD)
def test_any_path_survives_the_parser_that_sd_scripts_uses(a: str, b: str, c: str) -> None:
    found = Catalogue((SHIPPED,)).load("skynet")
    where = paths(Path(f"C:\\{a}"), Path(f"/{b}/ü.safetensors"), Path(f"/{c}"))
    read = toml.loads(render.config(found, where))
    assert read["pretrained_model_name_or_path"] == str(where.base)
    assert read["output_dir"] == str(where.output)
    (dataset,) = toml.loads(render.dataset(found, where))["datasets"]
    assert dataset["subsets"][0]["image_dir"] == str(where.data)


def test_same_input_same_bytes(shipped: Catalogue) -> None:
    found = shipped.load("lion")
    assert render.config(found, paths()) == render.config(shipped.load("lion"), paths())
    assert render.dataset(found, paths()) == render.dataset(shipped.load("lion"), paths())


def test_what_is_given_besides_wins_over_the_preset(shipped: Catalogue) -> None:
    read = toml.loads(render.config(shipped.load("skynet"), paths(), extra={"seed": 7}))
    assert read["seed"] == 7


def test_arguments_are_words_for_a_command_line() -> None:
    table = {
        "sdxl": True,
        "v2": False,
        "dim": 512,
        "min_diff": 1e-6,
        "name": "-a b",
        "many": [1, 2],
    }
    assert render.arguments(table) == (
        *("--sdxl", "--dim=512", "--min_diff=1e-06", "--name=-a b"),
        *("--many", "1", "2"),
    )
