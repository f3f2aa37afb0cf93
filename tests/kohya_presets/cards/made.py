"""Facts, words and evaluations for tests, and the golden pages made of them.

python -m tests.kohya_presets.cards.made     # writes golden/ anew
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kohya_presets.cards import evaluated, front_matter, html, markdown, page, words
from kohya_presets.cards.evaluated import Evaluation
from kohya_presets.cards.facts import Facts, Sample, Sampling
from kohya_presets.cards.words import Words
from kohya_presets.toml import source

GOLDEN = Path(__file__).parent / "golden"
FILLED = '''
title = "Korra"
description = """
Avatar Korra, from the series.

She bends:
- water
- earth"""
trigger = ["korra", "korra style"]
notes = "She has a bias to blue clothes."
author = "Aya"
license = "openrail++"
base_model = "stabilityai/stable-diffusion-xl-base-1.0"
tags = ["character", "avatar"]
links = ["https://civitai.com/user/aya", "my shop"]

[recommended]
strength = "0.8 to 1.0"
steps = 30
cfg_scale = 7.0

[permissions]
use_without_credit = false
sell_pictures = true
paid_services = false
share_merges = true
other_permissions_on_merges = "-"
sell_model = false
other = "Ask me for the rest."

[[versions]]
version = "1"
date = 2026-01-02
lora = "aa"
preset = "skynet"
images = 20
changes = "First version."

[[versions]]
version = "2"
date = 2026-02-03
lora = "bb"
preset = "lion"
images = 31
changes = "More pictures."
'''
SAMPLING = Sampling("euler_a", 28, 7.0, 1024, 1024, 1.0)
RUN = Facts(
    "korra",
    "korra.safetensors",
    102_400_000,
    "3a862294947a62220a904276eef2a06a9b03380fbdc00b42c5486185307a1d13",
    16,
    "fp16",
    ("U-Net", "text encoder 1", "text encoder 2"),
    preset="skynet",
    release="v0.10.1",
    patches=("ema", "resume"),
    base="sd_xl_base_1.0.safetensors",
    base_model="stabilityai/stable-diffusion-xl-base-1.0",
    images=20,
    epochs=100,
    epoch=40,
    optimizer="AdamW",
    rates={"U-Net": 1e-6, "text encoder 1": 5e-7},
    method="the whole model is fine-tuned, and the LoRA extracted from it",
    sampling=SAMPLING,
    samples=(
        Sample("pictures/1.jpg", "korra, a castle", 1, SAMPLING),
        Sample("pictures/2.jpg", "korra, a lake", None, SAMPLING),
    ),
)
ALONE = Facts("unknown", "unknown.safetensors", 5_000_000, "ff" * 32, 8, "bf16", ("U-Net",))
EVALUATION: Mapping[str, Any] = {
    "format": 1,
    "settings": {"sampler": "euler_a", "steps": 28, "scale": 7.0, "width": 1024, "height": 1024},
    "trigger": "korra",
    "models": [{"name": "base"}, {"name": "korra", "epoch": 40}],
    "prompts": [
        {"number": 1, "kind": "caption", "prompt": "korra, word for word", "seed": 1},
        {"number": 2, "kind": "trigger", "prompt": "korra, a castle", "seed": 2},
        {"number": 3, "kind": "without", "prompt": "a castle", "seed": 2},
    ],
    "pictures": [
        {"model": "korra", "prompt": 1, "strength": 1.0, "file": "a.png",
         "nearest": {"file": "x", "distance": 0.1, "copy": True}},
        {"model": "korra", "prompt": 2, "strength": 0.6, "file": "b.png", "nearest": None},
        {"model": "korra", "prompt": 2, "strength": 1.0, "file": "c.png", "nearest": None},
        {"model": "korra", "prompt": 3, "strength": 1.0, "file": "d.png", "nearest": None},
        {"model": "base", "prompt": 2, "strength": 1.0, "file": "e.png", "nearest": None},
    ],
    "epochs": [{"model": "korra", "epoch": 40, "copies": 1, "of": 4, "diversity": 0.3,
                "leak": 0.05, "trigger": 0.4}],
    "recommendation": {"model": "korra", "verdict": "right", "reason": "It is the last one."},
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "[click](javascript:alert(1)) ![x](http://evil/x.png)",
    "# heading\n- item\n1. one\n> quote\n---\n```\ncode",
    "*bold* _it_ ~~gone~~ `code` `` two `` | a | $x$ &lt; \\* </p><h1>",
    "{{ 7 * 7 }} {% raw %} ${x} %s {0}",
    "\u202eright to left \x1b[31m \u2028 line",
    "\"quotes\" 'single' : # - yes",
    "+ plus\n= under\n12) twelve",
    "<https://auto.link> a@b.c",
)


def told(text: str) -> Words:
    """Return the words of a `card.toml`."""
    found = source.parse(text)
    assert not [p for p in words.problems(found) if p.severity == "error"]
    return words.of(found)


def hostile(text: str) -> tuple[Facts, Words]:
    """Return facts and words that are this text wherever somebody could put one."""
    facts = Facts(
        text, f"{text}.safetensors", 1, text, 1, text, (text,), preset=text, release=text,
        patches=(text,), base=text, optimizer=text, rates={text: 1.0, "b": 2.0}, method=text,
        sampling=Sampling(text, negative=text), sampled_with=text,
        samples=(Sample("pictures/1.jpg", text, 1),),
    )  # fmt: skip
    said = Words(
        text, text, (text, text), text, text, text, text, text, text, (text,), (text,),
        dict.fromkeys(words.RECOMMENDED, text), {}, text,
        (words.Version(text, "a", text, text), words.Version("2", "b", text, text, preset=text)),
    )  # fmt: skip
    return facts, said


def evaluation() -> Evaluation:
    """Return what the evaluation says of korra."""
    found = evaluated.of(EVALUATION, "korra")
    assert found
    return found


def pages() -> dict[str, str]:
    """Return the golden pages by file name."""
    filled, empty = told(FILLED), told("")
    made = {
        "run": (RUN, filled, evaluation()),
        "run-without-evaluation": (RUN, filled, None),
        "alone-with-gaps": (ALONE, empty, None),
    }
    found: dict[str, str] = {}
    for name, (facts, said, looked) in made.items():
        found[f"{name}.md"] = markdown.text(page.titled(facts, said, looked))
        found[f"{name}.html"] = html.text(page.of(facts, said, looked))
        head = front_matter.text(front_matter.values(facts, said))
        hub = markdown.text(page.of_hub(facts, said, looked, "aya/korra"))
        found[f"{name}-hub.md"] = f"{head}\n{hub}"
    return found


if __name__ == "__main__":
    for name, text in pages().items():
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(text, encoding="utf-8", newline="\n")
