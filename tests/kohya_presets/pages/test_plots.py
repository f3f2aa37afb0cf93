from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from kohya_presets.pages import axes, plots, series

SPACE = "{http://www.w3.org/2000/svg}"
NAN = math.nan


def drawn(markup: str) -> ElementTree.Element:
    """Return the plot of a figure; it is well-formed."""
    return next(ElementTree.fromstring(markup).iter(f"{SPACE}svg"))


@pytest.mark.parametrize(
    ("about", "step"), [(0.9, 1), (1, 1), (1.1, 2), (2.2, 2.5), (30, 50), (0.006, 0.01), (0, 1)]
)
def test_a_step_is_round_and_not_below(about: float, step: float) -> None:
    assert axes.round_step(about) == pytest.approx(step)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.083, 0.197], ["0.075", "0.100", "0.125", "0.150", "0.175", "0.200"]),
        ([0, 6000], ["0", "2,000", "4,000", "6,000"]),
        (
            [1e-6, 1e-6],
            [f"{n:.2g}e-07" for n in (4, 6, 8)] + ["1e-06", "1.2e-06", "1.4e-06", "1.6e-06"],
        ),
        ([-1, 1], ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        ([], ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_ticks_are_round_and_hold_all_values(values: list[float], labels: list[str]) -> None:
    axis = axes.over(values)
    assert [tick.label for tick in axis.ticks] == labels
    assert all(-1e-9 <= axis.share(value) <= 1 + 1e-9 for value in values)


def test_steps_begin_where_they_do() -> None:
    axis = axes.steps(1, 6000, "step")
    assert (axis.low, axis.high) == (1, 6000)
    assert [tick.label for tick in axis.ticks] == [f"{n},000" for n in range(1, 7)]
    assert [tick.value for tick in axes.steps(3, 3, "epoch").ticks] == [3, 4]


def test_what_is_no_number_is_left_out() -> None:
    points = [(2, 1.0), (1, NAN), (3, math.inf), (0, 5.0)]
    assert series.finite(points) == [(0, 5.0), (2, 1.0)]


def test_a_smoothed_constant_is_the_constant_from_the_start() -> None:
    points = [(n, 3.0) for n in range(400)]
    assert series.smoothed(points) == [(n, pytest.approx(3.0)) for n in range(400)]


def test_smoothing_is_the_average_with_falling_weights() -> None:
    found = series.smoothed([(0, 1.0), (1, 2.0), (2, 4.0)], weight=0.5)
    expected = [1.0, (0.25 + 1) / 0.75, (0.125 + 0.5 + 2) / 0.875]
    assert [y for _, y in found] == pytest.approx(expected)


def test_a_band_has_no_more_columns_and_all_values() -> None:
    points = [(n, float(n * 7919 % 6007)) for n in range(6000)]
    band = series.band(points)
    assert len(band) == series.COLUMNS
    assert min(b.low for b in band) == min(y for _, y in points)
    assert max(b.high for b in band) == max(y for _, y in points)
    assert [b.x for b in band] == sorted(b.x for b in band)
    assert len(series.band(points[:3])) == 3


def test_thinned_points_keep_both_ends() -> None:
    points = [(float(n), 0.0) for n in range(1001)]
    found = series.thinned(points, most=11)
    assert [x for x, _ in found] == [n * 100 for n in range(11)]


def test_a_plot_says_in_words_what_it_shows() -> None:
    points = [(n, 0.1 + 0.05 * (n % 2)) for n in range(1, 6001)]
    markup = plots.over_steps("Loss", [plots.noisy("loss", points)], y="loss")
    svg = drawn(markup)
    assert svg.findtext(f"{SPACE}title") == "Loss"
    assert "loss: 0.15 at 1, 0.12" in markup
    assert "between 0.1 and 0.15." in markup
    assert len(svg.findall(f"{SPACE}polyline")) == 1
    (band,) = (p for p in svg.iter(f"{SPACE}path") if "band" in p.get("class", ""))
    assert band.get("d", "").count("L") == 2 * series.COLUMNS - 1
    assert len(markup) < 50_000


def test_one_point_is_a_dot() -> None:
    svg = drawn(plots.over_steps("Rates", [plots.plain("lr", [(1, 1e-6)])]))
    (dot,) = svg.iter(f"{SPACE}circle")
    assert dot.findtext(f"{SPACE}title") == "lr: 1e-06"


def test_names_in_a_plot_are_text() -> None:
    bad = "</title><script>x</script>\u202e"
    for markup in (
        plots.over_steps(bad, [plots.noisy(bad, [(1, 1.0), (2, 2.0)])], x=bad, y=bad),
        plots.bars(bad, [(bad, 1.0, bad)]),
        plots.spark([1.0, 2.0], bad),
    ):
        assert "<script" not in markup
        assert "\u202e" not in markup
        ElementTree.fromstring(markup)


def test_no_style_attribute_is_in_a_plot() -> None:
    """The policy of our pages would ignore it."""
    assert "style=" not in plots.over_steps("a", [plots.noisy("b", [(1, 1.0), (2, 2.0)])])


def test_bars_are_as_long_as_their_values() -> None:
    svg = drawn(plots.bars("Time", [("train", 90.0, "1:30"), ("extract", 45.0, "0:45")]))
    first, second = (float(bar.get("width", "0")) for bar in svg.iter(f"{SPACE}rect"))
    assert first == pytest.approx(2 * second)
