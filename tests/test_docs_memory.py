"""docs/memory.md tells what the estimate says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kohya_presets.memory import estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.training import settings
from patches import registry

PAGE = Path(__file__).parents[1] / "docs" / "memory.md"
ROWS = dict(re.findall(r"^\| `([^`]+)`[^|]*\| ([\d.]+) \|", PAGE.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("words", ROWS)
def test_each_row_is_what_is_estimated(words: str, shipped: Catalogue) -> None:
    overrides = [] if words == "hal" else words.split()
    preset = shipped.load("hal", overrides=overrides)
    found = estimate.of(settings.of_preset(preset, "v0.10.1", registry.additions(None)))
    assert found is not None
    assert f"{found.total / 2**30:.1f}" == ROWS[words]


def test_there_are_rows() -> None:
    assert len(ROWS) >= 9
