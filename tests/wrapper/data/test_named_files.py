"""Options that name a file or a folder are checked as the trainer will look for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.problems import Problem
from wrapper.data import named_files


def found(shipped: Catalogue, train: dict[str, Any], **dataset: Any) -> list[Problem]:
    made = shipped.load("skynet")
    made = replace(made, train={**made.train, **train}, dataset={**made.dataset, **dataset})
    return list(named_files.problems(made))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a folder with what may be named."""
    (tmp_path / "state").mkdir()
    for name in ("vae.safetensors", "prompts.txt", "a.safetensors", "b.safetensors", "log.toml"):
        (tmp_path / name).touch()
    return tmp_path


GOOD: tuple[dict[str, Any], ...] = (
    {"vae": "vae.safetensors"},
    {"vae": "state"},
    {"resume": "state"},
    {"sample_prompts": "prompts.txt"},
    {"log_tracker_config": "log.toml"},
    {"network_weights": "a.safetensors"},
    {"base_weights": ["a.safetensors", "b.safetensors"]},
    {"console_log_file": "new.log"},
)


@pytest.mark.parametrize("train", GOOD, ids=lambda train: next(iter(train)))
def test_what_is_there_is_no_problem_and_what_is_gone_is_one(
    train: dict[str, Any], here: Path, shipped: Catalogue
) -> None:
    def at(folder: Path) -> dict[str, Any]:
        return {
            option: [str(folder / v) for v in value]
            if isinstance(value, list)
            else str(folder / value)
            for option, value in train.items()
        }

    assert found(shipped, at(here)) == []
    problems = found(shipped, at(here / "gone"))
    values = next(iter(train.values()))
    assert [p.code for p in problems] == ["no-file"] * (len(values) if type(values) is list else 1)
    assert all("gone" in p.message and "does not exist" in p.message for p in problems)


@pytest.mark.parametrize(
    ("train", "count"),
    [
        ({"vae": "madebyollin/sdxl-vae-fp16-fix"}, 0),  # of Hugging Face
        ({"vae": "vae.pt"}, 1),
        ({"vae": "models/vae.safetensors"}, 1),
        ({"vae": r"D:\models\vae.safetensors"}, 1),
        ({"vae": ""}, 0),  # a rule's
        ({"resume": False}, 0),
        ({"resume": "me/states/last", "resume_from_huggingface": True}, 0),
        ({"resume": "vae.safetensors"}, 1),
    ],
)
def test_what_names_something_elsewhere(
    train: dict[str, Any], count: int, shipped: Catalogue
) -> None:
    assert len(found(shipped, train)) == count


def test_a_folder_of_the_dataset(here: Path, shipped: Catalogue) -> None:
    assert found(shipped, {}, conditioning_data_dir=str(here / "state")) == []
    (problem,) = found(shipped, {}, conditioning_data_dir=str(here / "vae.safetensors"))
    assert problem.where.key == "dataset.conditioning_data_dir"


def test_a_path_that_the_trainer_would_not_find_is_told_in_full(
    here: Path, shipped: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer runs in the folder of sd-scripts, and sd-scripts leaves ~ as it is."""
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    for name in ("vae.safetensors", "~/vae.safetensors"):
        (problem,) = found(shipped, {"vae": name})
        assert "not a full path" in problem.message
        assert str(here / "vae.safetensors") in (problem.hint or "")
    assert found(shipped, {"resume": "~/state"}) == []  # accelerate reads it


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"sample_every_n_epochs": 1, "sample_prompts": "PROMPTS"}, []),
        ({"sample_every_n_epochs": 1, "sample_prompts": "A"}, ["no-prompts"]),  # of another kind
        ({"sample_at_first": True, "sample_prompts": "A"}, ["no-prompts"]),
        ({"sample_every_n_epochs": 0, "sample_prompts": "A"}, []),
        ({"sample_prompts": "PROMPTS"}, []),
    ],
)
def test_prompts_are_of_a_kind_that_is_read(
    train: dict[str, Any], expected: list[str], here: Path, shipped: Catalogue
) -> None:
    files = {"PROMPTS": str(here / "prompts.txt"), "A": str(here / "a.safetensors")}
    train = {option: files.get(str(value), value) for option, value in train.items()}
    assert [p.code for p in found(shipped, train)] == expected
