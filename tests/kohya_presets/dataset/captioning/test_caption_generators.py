"""Prompts of generators are read where it is sure which text was drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kohya_presets.dataset.captioning import comfyui, generators, said
from kohya_presets.dataset.captioning.said import Said

A1111 = (
    "a woman in snow,\nsmiling <lora:kncr_v1:0.8>\nNegative prompt: bad hands,\nugly\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 8x8"
)
Nodes = dict[str, Any]


def node(kind: str, **inputs: object) -> dict[str, object]:
    return {"class_type": kind, "inputs": inputs}


def clip(text: object) -> dict[str, object]:
    return node("CLIPTextEncode", text=text, clip=["9", 1])


PLAIN = {
    "1": node("KSampler", positive=["2", 0], negative=["3", 0], seed=1),
    "2": clip("a woman"),
    "3": clip("ugly"),
}
THROUGH = {
    "1": node("KSamplerAdvanced", positive=["4", 0], negative=["4", 1]),
    "2": clip(["5", 0]),
    "3": clip("ugly"),
    "4": node("ControlNetApplyAdvanced", positive=["2", 0], negative=["3", 0]),
    "5": node("PrimitiveStringMultiline", value="a woman"),
}
FLUX = {
    "1": node("SamplerCustomAdvanced", guider=["2", 0], noise=["7", 0]),
    "2": node("BasicGuider", conditioning=["3", 0], model=["8", 0]),
    "3": node("FluxGuidance", conditioning=["4", 0], guidance=3.5),
    "4": node("CLIPTextEncodeFlux", clip_l="a woman", t5xxl="a woman"),
}
REFINED = {
    **PLAIN,
    "4": node("KSampler", positive=["5", 0], negative=["3", 0]),
    "5": node("CLIPTextEncodeSDXL", text_g="a woman", text_l=""),
}


@pytest.mark.parametrize("nodes", [PLAIN, THROUGH, FLUX, REFINED])
def test_the_prompt_of_a_workflow_is_what_its_samplers_draw(nodes: Nodes) -> None:
    assert comfyui.of_prompt(nodes) == Said("a woman", "ComfyUI")


@pytest.mark.parametrize(
    ("nodes", "fault"),
    [
        ({**PLAIN, "4": node("KSampler", positive=["5", 0]), "5": clip("a man")}, "2 different"),
        ({"1": node("KSampler", positive=["2", 0]), "2": clip(["3", 0])}, "no prompt"),
        (
            {  # two are drawn at once
                "1": node("KSampler", positive=["4", 0]),
                "2": clip("a woman"),
                "3": clip("a man"),
                "4": node("ConditioningCombine", conditioning_1=["2", 0], conditioning_2=["3", 0]),
            },
            "2 different",
        ),
        (  # whose outputs nobody knows: the second may be the negative one
            {
                "1": node("KSampler (Efficient)", positive=["2", 1], negative=["2", 2]),
                "2": node("Efficient Loader", positive="a woman", negative="ugly"),
            },
            "no prompt",
        ),
        ({"1": node("KSampler", positive=["1", 0])}, "no prompt"),  # a circle
        ({"2": clip("a woman")}, "no prompt"),  # of which nothing was drawn
        ({}, "no prompt"),
        ({"1": 3, "2": {"class_type": None}, "3": {"class_type": "KSampler"}}, "no prompt"),
        ({"1": node("KSampler", positive=[["x"], {}])}, "no prompt"),
    ],
)
def test_what_is_not_sure_in_a_workflow_is_no_caption(nodes: Nodes, fault: str) -> None:
    found = comfyui.of_prompt(nodes)
    assert found.text == ""
    assert fault in found.fault


V4 = {"prompt": "a woman", "uc": "ugly", "v4_prompt": {"caption": {"char_captions": []}}}


@pytest.mark.parametrize(
    ("chunks", "text", "source"),
    [
        ({"parameters": A1111}, "a woman in snow, smiling", "A1111 parameters"),
        ({"parameters": "a woman\nSteps: 20, Seed: 1"}, "a woman", "A1111 parameters"),
        ({"parameters": "a woman"}, "a woman", "A1111 parameters"),
        ({"parameters": "a woman\n10 Steps: up"}, "a woman 10 Steps: up", "A1111 parameters"),
        (
            {"parameters": json.dumps({"sui_image_params": {"prompt": "a woman"}})},
            "a woman",
            "SwarmUI",
        ),
        ({"parameters": json.dumps({"prompt": "a woman"})}, "a woman", "parameters"),
        ({"prompt": json.dumps(PLAIN), "workflow": "{}"}, "a woman", "ComfyUI"),
        ({"prompt": json.dumps({**PLAIN, "7": node("X", x=float("nan"))})}, "a woman", "ComfyUI"),
        (
            {"Software": "NovelAI", "Description": "x", "Comment": json.dumps(V4)},
            "a woman",
            "NovelAI",
        ),
        ({"Software": "NovelAI", "Description": "a woman", "Comment": "{"}, "a woman", "NovelAI"),
        ({"invokeai_metadata": json.dumps({"positive_prompt": "a woman"})}, "a woman", "InvokeAI"),
        (
            {"sd-metadata": json.dumps({"image": {"prompt": [{"prompt": "a woman"}]}})},
            "a woman",
            "InvokeAI",
        ),
        ({"Dream": '"a "tall" woman" -s 50 -S 1'}, 'a "tall" woman', "InvokeAI"),
        ({"Description": "a woman", "Comment": "mine"}, "a woman", "PNG Description"),
    ],
)
def test_each_generator_is_known_by_its_chunks(
    chunks: dict[str, str], text: str, source: str
) -> None:
    assert said.chosen(generators.of_chunks(chunks)) == Said(text, source)


@pytest.mark.parametrize(
    "chunks",
    [
        {},
        {"parameters": "Negative prompt: ugly\nSteps: 20, Seed: 1"},
        {"parameters": '{"a": 1'},
        {"prompt": "{" * 100_000},
        {"prompt": '{"a":' * 100_000},
        {"prompt": "[]"},
        {"invokeai_metadata": '{"positive_prompt": 3}'},
        {"sd-metadata": '{"image": {"prompt": [{"prompt": "a"}, {"prompt": "b"}]}}'},
        {"Software": "NovelAI", "Description": "AI generated image"},
        {"Description": "OLYMPUS DIGITAL CAMERA         "},
        {"Description": " \t\x00"},
        {"Comment": "Created with GIMP"},
    ],
)
def test_nothing_is_made_up(chunks: dict[str, str]) -> None:
    assert said.chosen(generators.of_chunks(chunks)).text == ""


def test_a_comment_is_a_generators_settings_or_a_text() -> None:
    assert generators.of_comment(A1111).source == "A1111 parameters"
    assert generators.of_comment("my dog") == Said("my dog", "EXIF UserComment")
    assert generators.of_tag("Prompt:" + json.dumps(PLAIN)) == Said("a woman", "ComfyUI")
    assert generators.of_tag('Workflow:{"a": 1}') == Said("", "ComfyUI")
    assert generators.of_tag("Canon") is None


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("a\x1b[2J woman\x07", "a [2J woman"),
        ("a\r\nwoman\u2028in\x85snow", "a woman in snow"),
        ("\ufeffa \u202ewoman\u200b", "a woman"),
        ("a family 👨\u200d👩\u200d👧", "a family 👨\u200d👩\u200d👧"),
        ("a woman, <lora:x:1>, <LYCO:y:1:2>,", "a woman, ,"),
        ("half a letter \ud83d here", "half a letter here"),
        ("東京の女性", "東京の女性"),
        ("... ,,, !!", ""),
    ],
)
def test_a_caption_is_one_line_that_every_editor_shows(text: str, caption: str) -> None:
    assert said.cleaned(text) == caption.strip(", ")
