"""A curve as one HTML page with a plot: no script, nothing fetched."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence

from kohya_presets.loras.curve import DIRECT, LOW, Curve, Row
from kohya_presets.loras.told import curve_text

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 150, 40, 60  # margins of the plot
COLOURS = {
    "all": "#222",
    "U-Net": "#1b6ac9",
    "text encoder 1": "#c2571a",
    "text encoder 2": "#2f8f4e",
}
_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60em;
  margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
td, th { padding: .15em .6em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
svg { max-width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: #222 }
"""


def page(curve: Curve, base: str, tuned: str) -> str:
    """Return the page; `base` and `tuned` are what it calls the two models."""
    title = html.escape(f"What each rank keeps: {tuned} compared with {base}")
    said = "".join(f"<p>{html.escape(line.strip())}</p>\n" for line in curve_text.detour(curve))
    formats = " ".join(curve_text.rounding(curve)).strip()
    formats = f"<p>{html.escape(formats)}</p>\n" if formats else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n'
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f"{formats}<p><strong>{html.escape(curve_text.advice(curve))}</strong></p>\n"
        f"{plot(curve)}\n{_table(curve, (curve.all, *curve.parts))}\n<h2>By block</h2>\n"
        f"{_table(curve, curve.blocks)}\n<h2>Extracting at a high rank, then resizing</h2>\n{said}"
        "</body>\n</html>\n"
    )


def plot(curve: Curve) -> str:
    """Return the plot as SVG: what is kept of the squared change, against the rank."""
    return "\n".join(
        (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
            f"<title>{html.escape(curve_text.advice(curve))}</title>",
            *_axes(curve),
            *_marks(curve),
            *(line for row in (*curve.parts, curve.all) for line in _line(curve.ranks, row)),
            *_legend((curve.all, *curve.parts)),
            "</svg>",
        )
    )


def _axes(curve: Curve) -> Iterator[str]:
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
    for rank, size in zip(curve.ranks, curve.sizes, strict=True):
        x, middle = _x(rank, curve.ranks), 'text-anchor="middle"'
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" {middle}>{rank}</text>'
        small = 'style="font-size:9px"'
        size_text = curve_text.megabytes(size)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 32}" {middle} {small}>{size_text}</text>'
    middle_x = (LEFT + WIDTH - RIGHT) / 2
    yield (
        f'<text x="{middle_x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">'
        "rank, and size of the fp16 file</text>"
    )


def _marks(curve: Curve) -> Iterator[str]:
    for rank in (LOW, DIRECT):
        x, top = _x(rank, curve.ranks), TOP - 4
        yield f'<path d="M{x:.1f} {top}V{HEIGHT - BOTTOM}" stroke="#888" stroke-dasharray="4 4"/>'
        mark = html.escape(curve_text.MARKS[rank])
        yield f'<text x="{x:.1f}" y="{top - 8}" text-anchor="middle">{mark}</text>'


def _line(ranks: Sequence[int], row: Row) -> Iterator[str]:
    colour, width = COLOURS.get(row.name, "#777"), 3 if row.name == "all" else 1.5
    points = [(_x(rank, ranks), _y(kept)) for rank, kept in zip(ranks, row.retained, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
    for (x, y), rank, kept in zip(points, ranks, row.retained, strict=True):
        told = html.escape(f"{row.name}, rank {rank}: {kept:.2%}")
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
        yield f"<title>{told}</title></circle>"


def _legend(rows: Sequence[Row]) -> Iterator[str]:
    x = WIDTH - RIGHT + 20
    for number, row in enumerate(rows):
        y = TOP + 20 * number
        colour = COLOURS.get(row.name, "#777")
        yield f'<path d="M{x} {y}h18" stroke="{colour}" stroke-width="3"/>'
        yield f'<text x="{x + 24}" y="{y + 4}">{html.escape(row.name)}</text>'


def _table(curve: Curve, rows: Sequence[Row]) -> str:
    ranks = "".join(f"<th>{rank}</th>" for rank in curve.ranks)
    lines = [f"<tr><th>rank</th>{ranks}</tr>"]
    for row in rows:
        kept = "".join(f"<td>{kept:.1%}</td>" for kept in row.retained)
        lines.append(f"<tr><td>{html.escape(row.name)}</td>{kept}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _x(rank: int, ranks: Sequence[int]) -> float:
    along = math.log2(rank / ranks[0]) / math.log2(ranks[-1] / ranks[0])
    return LEFT + along * (WIDTH - LEFT - RIGHT)


def _y(kept: float) -> float:
    return TOP + (1 - kept) * (HEIGHT - TOP - BOTTOM)
