"""Which pictures are made: each prompt by each model, some at other strengths, each once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.prompts import made
from kohya_presets.prompts.lines import Prompt
from wrapper.evaluation import shots, site
from wrapper.evaluation.shots import Model, Settings

SETTINGS = Settings("v0.10.1", "sdxl_gen_img.py", "euler_a", 28, 7.0, 64, 64)
MODELS = (
    Model("base", identity="b"),
    Model("korra-000010", Path("korra-000010.safetensors"), 10, identity="1", order=1),
    Model("korra", Path("korra.safetensors"), 20, identity="2", order=2),
)
PROMPTS = made.made([f"a photo of zkw, {n}" for n in range(4)], "zkw")


def test_every_model_draws_every_prompt_at_full_strength() -> None:
    full = [s for s in shots.of(MODELS, PROMPTS, SETTINGS) if s.strength == 1.0]
    assert len(full) == len(MODELS) * len(PROMPTS)


def test_only_the_last_lora_is_drawn_at_other_strengths_from_one_seed_of_a_prompt() -> None:
    others = [s for s in shots.of(MODELS, PROMPTS, SETTINGS, (0.6, 1.0)) if s.strength != 1.0]
    assert {s.model for s in others} == {"korra"}
    assert {s.prompt.kind for s in others} == {"caption", "trigger", "without"}
    assert len(others) == len({s.prompt.text for s in others})


def test_a_base_has_no_strength_in_its_line() -> None:
    lines = {s.model: s.line for s in shots.of(MODELS, PROMPTS[:1], SETTINGS)}
    assert "--am" not in lines["base"]
    assert lines["korra-000010"].endswith("--am 1")


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": replace(SETTINGS, steps=20)},
        {"settings": replace(SETTINGS, width=128), "prompts": [replace(PROMPTS[0], width=None)]},
        {"settings": replace(SETTINGS, release="v0.9.1")},
        {"models": (MODELS[0], replace(MODELS[1], identity="other"), MODELS[2])},
        {"prompts": [replace(PROMPTS[0], seed=9), *PROMPTS[1:]]},
    ],
)
def test_another_model_prompt_or_setting_makes_another_picture_beside_the_old(
    changed: dict[str, object],
) -> None:
    now = {"models": MODELS, "prompts": PROMPTS, "settings": SETTINGS}
    before = {s.file for s in shots.of(**now)}  # type: ignore[arg-type]
    after = {s.file for s in shots.of(**now | changed)}  # type: ignore[arg-type]
    assert after - before


def test_a_setting_that_every_line_overrides_makes_no_new_picture() -> None:
    wider = replace(SETTINGS, width=128)  # each prompt has a size of its own
    assert shots.of(MODELS, PROMPTS, wider) == shots.of(MODELS, PROMPTS, SETTINGS)


def test_a_prompt_in_front_of_others_makes_one_new_picture_of_each_model() -> None:
    before = {s.file for s in shots.of(MODELS, PROMPTS, SETTINGS, (1.0,))}
    more = [Prompt("a cat", "generic", 1), *PROMPTS]
    after = {s.file for s in shots.of(MODELS, more, SETTINGS, (1.0,))}
    assert before < after
    assert len(after - before) == len(MODELS)


def test_sides_are_those_that_the_script_can_make() -> None:
    (shot, *_) = shots.of(MODELS, [Prompt("a cat", width=70, height=20)], SETTINGS)
    assert (shot.prompt.width, shot.prompt.height) == (64, 64)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["korra", "korra-000010", "korra-000002"],
            ["korra-000002", "korra-000010", "korra"],
        ),
        (["k-step00000300", "k-step00000040", "k"], ["k-step00000040", "k-step00000300", "k"]),
        # Steps and epochs cannot be compared: the files' times tell.
        (["k-000001", "k-step00009000", "k-000002"], ["k-000001", "k-step00009000", "k-000002"]),
    ],
)
def test_models_are_in_the_order_in_which_they_were_saved(
    names: list[str], told: list[str], tmp_path: Path
) -> None:
    models = []
    for age, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
        models.append(Model(name, tmp_path / name, *shots.saved_at(name)))
    found = site.in_order(models)
    assert [model.name for model in found] == told
    assert [model.order for model in found] == [1, 2, 3]
