"""The head of README.md, as huggingface_hub reads it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard import metadata_load
from hypothesis import given
from hypothesis import strategies as st

from kohya_presets.cards import front_matter, page
from kohya_presets.cards.facts import Sample
from kohya_presets.cards.words import Words
from tests.kohya_presets.cards import made

# Keys of the Hub's docs that ModelCardData passes through as they are.
PASSED_THROUGH = {"base_model_relation", "instance_prompt", "widget"}
TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=30)


def test_huggingface_hub_reads_the_head_and_keeps_all_of_it(tmp_path: Path) -> None:
    text = made.pages()["run-hub.md"]
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    known = set(inspect.signature(ModelCardData.__init__).parameters) - {"self", "kwargs"}
    assert set(data.to_dict()) <= known | PASSED_THROUGH
    assert data.to_dict() == front_matter.values(made.RUN, made.told(made.FILLED))
    assert data.base_model == "stabilityai/stable-diffusion-xl-base-1.0"
    assert data.library_name == "diffusers"
    assert {"text-to-image", "lora", "stable-diffusion-xl", "diffusers"} <= set(data.tags or ())
    file = tmp_path / "README.md"
    file.write_text(text, "utf-8")
    assert metadata_load(file) == data.to_dict()
    assert ModelCard.load(str(file)).text.lstrip().startswith("# Korra")


@pytest.mark.parametrize("hostile", made.HOSTILE)
def test_a_hostile_text_is_read_back_as_it_is(hostile: str) -> None:
    facts, said = made.hostile(hostile)
    found = front_matter.values(facts, said)
    data = ModelCard(f"{front_matter.text(found)}\n# text\n").data
    assert data.to_dict() == found
    assert data.instance_prompt == page.trigger(said)
    assert data.get("base_model") is None  # it is no OWNER/NAME
    assert data.widget[0]["text"] == hostile


@given(st.lists(TEXTS, max_size=3), TEXTS, TEXTS)
def test_any_text_is_read_back_as_it_is(tags: list[str], trigger: str, prompt: str) -> None:
    facts = replace(made.RUN, samples=(Sample("pictures/1.jpg", prompt),))
    found = front_matter.values(facts, Words(trigger=(trigger,), tags=tuple(tags)))
    text = front_matter.text(found)
    assert ModelCard(f"{text}\n").data.to_dict() == found
    assert yaml.safe_load(text.strip().strip("-")) == found


@pytest.mark.parametrize(
    "word", ["no", "Yes", "null", "~", "1", "1.0", "a: b", "", "a:", "-", "on"]
)
def test_a_word_that_yaml_takes_for_another_value_stays_a_text(word: str) -> None:
    found = front_matter.values(made.ALONE, Words(tags=(word,)))
    assert yaml.safe_load(front_matter.text(found).strip().strip("-"))["tags"][-1] == word


def test_without_pictures_there_is_no_widget() -> None:
    assert "widget" not in front_matter.values(made.ALONE, Words())
    assert "instance_prompt" not in front_matter.values(made.ALONE, Words())
