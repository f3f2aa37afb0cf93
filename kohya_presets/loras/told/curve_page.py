"""A curve as one HTML page with a plot: no script, nothing fetched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from kohya_presets.loras.curve import DIRECT, LOW, Curve, Row
from kohya_presets.loras.told import curve_text
from kohya_presets.pages import page as pages
from kohya_presets.pages import plots
from kohya_presets.pages.axes import Axis, Tick
from kohya_presets.pages.plots import Frame, Line, Mark

HEIGHT = 420
KINDS = {"all": 0, "U-Net": 1, "text encoder 1": 2, "text encoder 2": 3}  # their colours
OTHERS = 4


def page(curve: Curve, base: str, tuned: str) -> str:
    """Return the page; `base` and `tuned` are what it calls the two models."""
    return pages.render(
        Path(__file__).parent,
        "curve.html.jinja",
        made_by="lora rank",
        title=f"What each rank keeps: {tuned} compared with {base}",
        formats=" ".join(curve_text.rounding(curve)).strip(),
        advice=curve_text.advice(curve),
        plot=figure(curve),
        ranks=["rank", *map(str, curve.ranks)],
        parts=_rows((curve.all, *curve.parts)),
        blocks=_rows(curve.blocks),
        detour=[line.strip() for line in curve_text.detour(curve)],
    )


def figure(curve: Curve) -> Markup:
    """Return the plot with its legend, as markup."""
    title = "How much of the squared change each rank keeps"
    words = "Each dot is a rank; the table below has its numbers."
    return plots.figure(plot(curve), _lines(curve), title, words)


def plot(curve: Curve) -> Markup:
    """Return the plot as SVG: what is kept of the squared change, against the rank."""
    marks = [Mark(_place(rank), curve_text.MARKS[rank]) for rank in (LOW, DIRECT)]
    return plots.svg(_frame(curve), _lines(curve), curve_text.advice(curve), marks)


def _frame(curve: Curve) -> Frame:
    ticks = tuple(
        Tick(_place(rank), str(rank), curve_text.megabytes(size))
        for rank, size in zip(curve.ranks, curve.sizes, strict=True)
    )
    label = "rank, and size of the fp16 file"
    x = Axis(_place(curve.ranks[0]), _place(curve.ranks[-1]), ticks, label)
    y = Axis(0, 1, tuple(Tick(n / 100, f"{n} %") for n in range(0, 101, 20)))
    return Frame(x, y, HEIGHT)


def _lines(curve: Curve) -> list[Line]:
    return [_line(curve.ranks, row) for row in (*curve.parts, curve.all)]


def _line(ranks: Sequence[int], row: Row) -> Line:
    kept = [(_place(rank), share, rank) for rank, share in zip(ranks, row.retained, strict=True)]
    return Line(
        row.name,
        [(x, share) for x, share, _ in kept],
        dots=[(x, share, f"{row.name}, rank {rank}: {share:.2%}") for x, share, rank in kept],
        kind=KINDS.get(row.name, OTHERS),
        main=row.name == "all",
    )


def _rows(rows: Sequence[Row]) -> list[list[str]]:
    return [[row.name, *(f"{kept:.1%}" for kept in row.retained)] for row in rows]


def _place(rank: int) -> float:
    return math.log2(rank)
