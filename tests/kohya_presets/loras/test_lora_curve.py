from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import curve
from kohya_presets.loras.curve import Curve
from kohya_presets.loras.told import curve_page, curve_text
from kohya_presets.pages import plots
from tests import lora_files
from tests.lora_files import TE1, UNET

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
DETOUR = {"direct": 0.5, "through": 0.5, "apart": 1e-6} | {
    f"{name}{suffix}": value
    for suffix in ("_fp16", "_clamped")
    for name, value in (("direct", 0.5), ("through", 0.51), ("apart", 2e-4))
}


def module(name: str, shape: list[int], norm: float, *first: float) -> dict[str, Any]:
    """Return what kp_rank.py writes of a module that keeps `first` at the first ranks, then all."""
    kept = [*first, *(1.0 for _ in RANKS[len(first) :])]
    return {"name": name, "shape": shape, "norm": norm, "retained": kept}


def measured(*modules: dict[str, Any], detours: int = 1) -> dict[str, Any]:
    detour = {"high": 512, "low": 16, "modules": [{"name": UNET, **DETOUR}] * detours}
    return {"ranks": list(RANKS), "modules": list(modules), "detour": detour}


@pytest.fixture
def made() -> Curve:
    return curve.of(
        measured(
            module(TE1, [64, 32], 1.0, 0.5, 0.75),
            module(UNET, [64, 64], 2.0, 0.8, 0.9, 0.9, 0.905, 0.99),
            module("lora_te2_text_model_encoder_layers_0_mlp_fc1", [64, 32], 0.0),
        )
    )


def test_modules_count_by_their_squared_change(made: Curve) -> None:
    assert made.all.norm == pytest.approx(5**0.5)
    assert made.all.retained[:2] == pytest.approx(((4 * 0.8 + 0.5) / 5, (4 * 0.9 + 0.75) / 5))
    assert [part.name for part in made.parts] == ["U-Net", "text encoder 1"]
    assert [block.name for block in made.blocks] == ["input_blocks_4", "te1 layer 0"]
    assert made.unchanged == 1


def test_two_models_that_are_the_same_have_no_curve() -> None:
    with pytest.raises(UserError, match="same weights"):
        curve.of(measured(module(UNET, [64, 64], 0.0)))


@pytest.mark.parametrize("rank", [4, 48])
def test_the_size_is_that_of_the_file(rank: int, tmp_path: Path) -> None:
    shapes = {UNET: [64, 64], TE1: [64, 32], "lora_unet_input_blocks_1_0_in_layers_2": [8, 4, 3, 3]}
    tensors = {}
    for name, (out, into, *kernel) in shapes.items():
        least = min(rank, out, int(np.prod([into, *kernel])))
        up = np.ones((out, least, *(1 for _ in kernel)), "float16")
        tensors |= lora_files.halves(name, up, np.ones((least, into, *kernel), "float16"), least)
    file = lora_files.write(tmp_path / "a.safetensors", tensors)
    found = curve.of(measured(*(module(name, shape, 1.0) for name, shape in shapes.items())))
    assert curve.file_size(found.modules, rank) == file.stat().st_size


def test_the_advice_is_one_sentence_with_the_guides_choices(made: Curve) -> None:
    assert curve.enough(made) == 4  # 4 to 8 adds little, but 8 to 16 does not
    said = curve_text.advice(made)
    assert said == (
        "Rank 16 keeps 99.2% of the change in 0.0 MB; doubling the rank adds less than 1%; "
        "the guide's 512 resized to 16 keeps 99.2% (0.0 MB) and "
        "the guide's 128 directly keeps 100.0% (0.0 MB)."
    )


def test_a_change_without_an_end_is_said_to_have_none() -> None:
    kept = [rank / 1280 for rank in RANKS]  # as of noise, whose first doublings add least
    found = curve.of(measured(module(UNET, [1280, 1280], 1.0, *kept)))
    assert curve.enough(found) is None
    assert curve_text.advice(found).startswith(
        "The change is spread over many directions, like noise: doubling rank 512 still adds 40% "
        "of it, and to keep half of it takes rank 1024 (5.2 MB); "
        "the guide's 512 resized to 16 keeps 1.2%"
    )


def test_the_text_marks_the_guides_choices(made: Curve) -> None:
    lines = curve_text.text(made).splitlines()
    assert lines[0] == "How much of the squared change each rank keeps (2 modules, 1 unchanged):"
    assert lines[2].endswith("fp16 file")
    marked = [line for line in lines if "<-" in line]
    assert [line.split()[0] for line in marked] == ["16", "128"]
    assert marked[0].endswith("<- the guide's 512 resized to 16")
    assert "input_blocks_4            2  80.0%  90.0%  90.0%  90.5%  99.0% 100.0%" in "\n".join(
        lines
    )
    assert lines[-4:] == [
        "Extracting at 512 and resizing to 16, compared with extracting at 16, in the 1 module "
        "that changed most:",
        "  computed in fp32: error 50 %, directly 50 %; difference of the two 0.0001 %",
        "  stored as fp16: error 51 %, directly 50 %; difference of the two 0.02 %",
        "  also clamped at 0.99, the default of sd-scripts: error 51 %, "
        "directly 50 %; difference of the two 0.02 %",
    ]


def test_json_has_all_of_it(made: Curve) -> None:
    found = json.loads(json.dumps(curve_text.values(made)))
    assert found["ranks"] == list(RANKS)
    assert len(found["sizes"]) == len(found["all"]["retained"]) == len(RANKS)
    assert found["detour"][0]["name"] == UNET
    assert len(found["modules"]) == 2


def test_the_plot_is_well_formed_and_has_a_line_for_each_part(made: Curve) -> None:
    svg = ElementTree.fromstring(curve_page.plot(made))
    space = "{http://www.w3.org/2000/svg}"
    lines = svg.findall(f"{space}polyline")
    assert len(lines) == len(made.parts) + 1
    for line, row in zip(lines, (*made.parts, made.all), strict=True):
        points = [tuple(map(float, p.split(","))) for p in line.get("points", "").split()]
        bottom, top = curve_page.HEIGHT - plots.BOTTOM, plots.TOP
        expected = [bottom - kept * (bottom - top) for kept in row.retained]
        assert [y for _, y in points] == pytest.approx(expected, abs=0.06)
        assert [x for x, _ in points] == sorted(x for x, _ in points)
    texts = [element.text for element in svg.iter(f"{space}text")]
    assert "the guide's 512 resized to 16" in texts
    assert "the guide's 128 directly" in texts


def test_the_page_fetches_and_runs_nothing(made: Curve) -> None:
    page = curve_page.page(made, "base & <b>", "tuned")
    assert "base &amp; &lt;b&gt;" in page
    assert "<script" not in page
    links = re.findall(r"(?:href|src)=|https?://[^\"]*", page)
    assert links == ["http://www.w3.org/2000/svg"]
    assert page.count("<table>") == 2
    assert "<li>" in page  # the legend
