"""What is written and drawn on a page can be seen: in light, in the dark, and on paper."""

from __future__ import annotations

import itertools
import re

import pytest

from kohya_presets.pages import page, plots

STYLE = page.base_style()
AA = 4.5  # WCAG 2: the least contrast of text
DRAWN = 3.0  # and of what is drawn


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#\w+)", block))


def luminance(colour: str) -> float:
    """Return WCAG 2's relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


SCHEMES = [colours(block) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)]
INKS = ("text", "quiet", "error", "warning", "advice", "note", "cut")


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark", "paper"])
@pytest.mark.parametrize(("ink", "ground"), [*itertools.product(INKS, ("page", "card", "well"))])
def test_every_ink_can_be_read_on_every_ground(
    scheme: dict[str, str], ink: str, ground: str
) -> None:
    dark, light = sorted((luminance(scheme[ink]), luminance(scheme[ground])))
    assert (light + 0.05) / (dark + 0.05) >= AA


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark", "paper"])
@pytest.mark.parametrize("kind", range(plots.KINDS))
def test_every_line_of_a_plot_can_be_seen(scheme: dict[str, str], kind: int) -> None:
    dark, light = sorted((luminance(scheme[f"s{kind}"]), luminance(scheme["card"])))
    assert (light + 0.05) / (dark + 0.05) >= DRAWN


def test_nothing_is_fetched_by_the_style() -> None:
    assert "@import" not in STYLE
    assert "url(" not in STYLE
