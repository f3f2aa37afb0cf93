"""What a person is told of an evaluation's pictures: in JSON, and on the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kohya_presets.judging import made_runs
from tests.kohya_presets.judging.made_runs import Done
from tests.wrapper.evaluation import made_evaluations
from wrapper.evaluation import judged
from wrapper.evaluation.page import sheet


@pytest.mark.parametrize(
    ("run", "verdict", "model", "told"),
    [
        (made_runs.UNDERTRAINED, "undertrained", None, "train longer"),
        (made_runs.RIGHT, "right", "thing-000030", "Keep"),
        (made_runs.OVERTRAINED, "overtrained", "thing-000030", "Train less"),
    ],
)
def test_three_runs_lead_to_three_things_to_do_on_the_page(
    run: Done, verdict: str, model: str | None, told: str, tmp_path: Path
) -> None:
    found = judged.of(made_evaluations.evaluation(tmp_path, run))
    assert (found.recommendation.verdict, found.recommendation.model) == (verdict, model)
    lead = re.search(r'<section class="lead".*?</section>', sheet.render(found), re.DOTALL)
    assert lead
    assert told in lead[0]


def test_the_numbers_are_written_for_a_script(tmp_path: Path) -> None:
    made = made_evaluations.evaluation(tmp_path, made_runs.RIGHT)
    values = json.loads(judged.write(judged.of(made)).read_text("utf-8"))
    assert values["recommendation"]["model"] == "thing-000030"
    assert [model["name"] for model in values["models"]][:2] == ["base", "thing-000010"]
    assert values["models"][1]["file"] == "lora/thing-000010.safetensors"
    copies = {row["epoch"]: row["copies"] for row in values["epochs"] if row["strength"] == 1}
    assert copies[None] == copies[10] == 0
    assert copies[50] == 4
    for picture in values["pictures"]:
        assert (made.folder / picture["file"]).is_file()
        assert Path(picture["nearest"]["file"]).is_file()


def test_texts_of_others_stay_texts(tmp_path: Path) -> None:
    hostile = made_evaluations.HOSTILE
    made = made_evaluations.evaluation(
        tmp_path, made_runs.UNDERTRAINED, name="a'<b>", caption=hostile
    )
    text = sheet.render(judged.of(made))
    assert "<img src=x" not in text
    assert "</script><img" not in text
    assert "\u202e" not in text
    assert "a&#39;&lt;b&gt;" in text


def test_an_image_that_cannot_be_read_is_said_and_the_rest_compared(tmp_path: Path) -> None:
    made = made_evaluations.evaluation(tmp_path, made_runs.UNDERTRAINED)
    made.images[0].write_bytes(b"no picture")
    found = judged.of(made)
    assert found.unread == (made.images[0].name,)
    assert len(found.images) == len(made.images) - 1
    assert made.images[0].name in sheet.render(found)


def test_pictures_that_are_missing_leave_a_gap(tmp_path: Path) -> None:
    made = made_evaluations.evaluation(tmp_path, made_runs.RIGHT)
    (made.folder / made.shots[3].file).unlink()
    found = judged.of(made)
    assert len(found.shots) == len(made.shots) - 1
    assert ">none</span>" in sheet.render(found)


def test_prompts_of_a_users_own_file_get_their_kind_from_their_words(tmp_path: Path) -> None:
    made = made_evaluations.evaluation(tmp_path, made_runs.RIGHT)
    prompts = tuple(replace(prompt, kind="other") for prompt in made.prompts)
    captions = tuple(p.text for p in made.prompts if p.kind == "caption")
    kinds = replace(made, prompts=prompts, captions=captions).kinds
    told = {prompt.kind: kinds[number] for number, prompt in enumerate(made.prompts, start=1)}
    assert told == {
        "caption": "caption",
        "trigger": "trigger",
        "without": "generic",
        "generic": "generic",
    }
