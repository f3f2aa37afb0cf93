"""Plots as SVG: they need no script, print, and follow the page's colours by their classes.

Styles stand in base.css: a policy without 'unsafe-inline' lets no style attribute through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from kohya_presets.pages import axes, series
from kohya_presets.pages.axes import Axis, number
from kohya_presets.pages.series import Band, Point
from kohya_presets.pages.shown import visible

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 56  # margins of a plot
KINDS = 6  # colours and dashes; after these they come again
ROW = 22  # height of a bar's row
SMALL = (96, 22)  # of a spark


@dataclass(frozen=True)
class Line:
    """A line, the band that it goes through, and dots that say what they are when pointed at.

    `kind` chooses the colour and the dashes; `main` draws it thicker.
    """

    name: str
    points: Sequence[Point]
    band: Sequence[Band] = ()
    dots: Sequence[tuple[float, float, str]] = ()
    kind: int = 0
    main: bool = False


@dataclass(frozen=True)
class Mark:
    """A line straight down at `x`, and what stands above it."""

    x: float
    label: str


@dataclass(frozen=True)
class Row:
    """A row of `spans`: stretches from x to x and moments at an x, each with what it is."""

    name: str
    stretches: Sequence[tuple[float, float, str]] = ()
    moments: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True)
class Frame:
    """Where values lie in a plot of so many units."""

    x: Axis
    y: Axis
    height: int = HEIGHT

    def across(self, value: float) -> float:
        """Return the place of an x."""
        return LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)

    def down(self, value: float) -> float:
        """Return the place of a y."""
        return TOP + (1 - self.y.share(value)) * (self.height - TOP - BOTTOM)


def noisy(name: str, points: Iterable[Point], *, kind: int = 0) -> Line:
    """Return a series as a smoothed line through the band of all its values."""
    found = series.finite(points)
    line = series.thinned(series.smoothed(found))
    return Line(name, line, series.band(found) if len(found) > 1 else (), kind=kind)


def plain(name: str, points: Iterable[Point], *, kind: int = 0) -> Line:
    """Return a series as it is, thinned where it has more points than a plot shows."""
    return Line(name, series.thinned(series.finite(points), most=series.COLUMNS), kind=kind)


def over_steps(
    title: str, lines: Sequence[Line], *, x: str = "step", y: str = "", from_zero: bool = False
) -> Markup:
    """Return a figure of lines over steps: plot, legend, and what it shows in words.

    There must be a point in one of the lines.
    """
    across = [p[0] for line in lines for p in (*line.points, *line.band)]
    up = [p[1] for line in lines for p in line.points]
    up += [value for line in lines for column in line.band for value in column[1:]]
    frame = Frame(axes.steps(min(across), max(across), x), axes.over(up, y, from_zero=from_zero))
    return figure(svg(frame, lines, title), lines, title, " ".join(map(said, lines)))


def said(line: Line) -> str:
    """Return in words what a line shows: where it starts, ends, and how far it reaches."""
    if not line.points:
        return f"{line.name}: no value."
    (first, start), (last, end) = line.points[0], line.points[-1]
    lows, highs = [b.low for b in line.band], [b.high for b in line.band]
    values = [y for _, y in line.points]
    low, high = min(lows or values), max(highs or values)
    if low == high:
        return f"{line.name}: {number(low)} from {number(first)} to {number(last)}."
    return (
        f"{line.name}: {number(start)} at {number(first)}, {number(end)} at {number(last)}; "
        f"between {number(low)} and {number(high)}."
    )


def figure(drawn: Markup, lines: Sequence[Line], title: str, words: str) -> Markup:
    """Return a plot with its legend, where there are several lines, and its words."""
    legend = Markup("")
    if len(lines) > 1 or any(line.band for line in lines):
        legend = Markup('<ul class="legend">{}</ul>').format(Markup("").join(_legend(lines)))
    return Markup(
        '<figure class="plot"><div class="scroll" role="group" tabindex="0" aria-label="{}">{}'
        "</div>{}<figcaption>{}</figcaption></figure>"
    ).format(visible(title), drawn, legend, visible(words))


def svg(frame: Frame, lines: Sequence[Line], title: str, marks: Sequence[Mark] = ()) -> Markup:
    """Return a plot without legend. `title` is its text alternative."""
    parts = [
        *_axes(frame),
        *_marks(frame, marks),
        *(part for line in lines for part in _band(frame, line)),
        *(part for line in lines for part in _line(frame, line)),
    ]
    return _drawing(frame.height, title, parts)


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> Markup:
    """Return a drawing of a bar for each row: its name, its value (0 or more), what is said."""
    most = max((value for _, value, _ in rows), default=0) or 1
    begin, end = 180, WIDTH - 160
    parts = []
    for at, (name, value, words) in enumerate(rows):
        y = 6 + at * ROW
        wide = max(1.0, value / most * (end - begin)) if value else 0
        parts.append(f'<text x="{begin - 8}" y="{y + 13}" text-anchor="end">{_text(name)}</text>')
        parts.append(f'<rect class="bar c1" x="{begin}" y="{y}" width="{wide:.1f}" height="16"/>')
        parts.append(f'<text x="{begin + wide + 6:.1f}" y="{y + 13}">{_text(words)}</text>')
    return _scrolling(title, _drawing(len(rows) * ROW + 12, title, parts))


def spans(title: str, axis: Axis, rows: Sequence[Row]) -> Markup:
    """Return a drawing of stretches and moments on a line for each row, over a common axis."""
    begin, wide = 110, WIDTH - 110 - RIGHT
    bottom = 8 + len(rows) * ROW
    parts = []
    for tick in axis.ticks:
        x = begin + axis.share(tick.value) * wide
        parts.append(f'<path class="grid" d="M{x:.1f} 4V{bottom}"/>')
        middle = f'x="{x:.1f}" y="{bottom + 16}" text-anchor="middle"'
        parts.append(f"<text {middle}>{_text(tick.label)}</text>")
    for at, row in enumerate(rows):
        y = 8 + at * ROW
        parts.append(
            f'<text x="{begin - 8}" y="{y + 13}" text-anchor="end">{_text(row.name)}</text>'
        )
        for low, high, words in row.stretches:
            x, end = (begin + axis.share(value) * wide for value in (low, high))
            size = f'x="{x:.1f}" y="{y}" width="{max(2.0, end - x):.1f}" height="14"'
            parts.append(f'<rect class="bar c1" {size}><title>{_text(words)}</title></rect>')
        for moment, words in row.moments:
            x = begin + axis.share(moment) * wide
            place = f'cx="{x:.1f}" cy="{y + 7}" r="4"'
            parts.append(f'<circle class="dot c2" {place}><title>{_text(words)}</title></circle>')
    parts.append(f'<text x="{begin}" y="{bottom + 34}">{_text(axis.label)}</text>')
    return _scrolling(title, _drawing(bottom + 42, title, parts))


def spark(values: Sequence[float], title: str) -> Markup:
    """Return a small drawing of a row of values, each a bar from 0 on."""
    width, height = SMALL
    most, each = max(values, default=0) or 1, width / max(1, len(values))
    parts = [
        f'<rect class="bar c1" x="{at * each:.1f}" y="{height * (1 - value / most):.1f}"'
        f' width="{max(0.5, each - 1):.1f}" height="{height * value / most:.1f}"/>'
        for at, value in enumerate(values)
    ]
    return _drawing(height, title, parts, width)


def _scrolling(title: str, drawn: Markup) -> Markup:
    return Markup(
        '<figure class="plot"><div class="scroll" tabindex="0" role="group" aria-label="{}">{}'
        "</div></figure>"
    ).format(visible(title), drawn)


def _drawing(height: int, title: str, parts: Iterable[str], width: int = WIDTH) -> Markup:
    inside = "\n".join(parts)
    return Markup(  # every text in it went through _text
        f'<svg viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg">\n'
        f"<title>{_text(title)}</title>\n{inside}\n</svg>"
    )


def _axes(frame: Frame) -> Iterator[str]:
    bottom, middle = frame.height - BOTTOM, 'text-anchor="middle"'
    for tick in frame.y.ticks:
        y = frame.down(tick.value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_text(tick.label)}</text>'
    for tick in frame.x.ticks:
        x = frame.across(tick.value)
        yield f'<path class="grid" d="M{x:.1f} {bottom}v5"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" {middle}>{_text(tick.label)}</text>'
        if tick.small:
            small = f'class="small" x="{x:.1f}" y="{bottom + 31}" {middle}'
            yield f"<text {small}>{_text(tick.small)}</text>"
    centre = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{centre:.1f}" y="{frame.height - 8}" {middle}>{_text(frame.x.label)}</text>'
    if frame.y.label:
        yield f'<text x="{LEFT}" y="{TOP - 24}">{_text(frame.y.label)}</text>'


def _marks(frame: Frame, marks: Sequence[Mark]) -> Iterator[str]:
    for mark in marks:
        x, top = frame.across(mark.x), TOP - 4
        yield f'<path class="mark" d="M{x:.1f} {top}V{frame.height - BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{top - 8}" text-anchor="middle">{_text(mark.label)}</text>'


def _band(frame: Frame, line: Line) -> Iterator[str]:
    if not line.band:
        return
    above = (f"{frame.across(b.x):.1f} {frame.down(b.high):.1f}" for b in line.band)
    below = (f"{frame.across(b.x):.1f} {frame.down(b.low):.1f}" for b in reversed(line.band))
    yield f'<path class="band {_kind(line)}" d="M{"L".join([*above, *below])}Z"/>'


def _line(frame: Frame, line: Line) -> Iterator[str]:
    points = " ".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in line.points)
    main = " main" if line.main else ""
    yield f'<polyline class="s {_kind(line)}{main}" points="{points}"/>'
    if len(line.points) == 1 and not line.dots:
        (x, y) = line.points[0]
        yield _dot(frame, line, x, y, f"{line.name}: {number(y)}")
    for x, y, words in line.dots:
        yield _dot(frame, line, x, y, words)


def _dot(frame: Frame, line: Line, x: float, y: float, words: str) -> str:
    place = f'cx="{frame.across(x):.1f}" cy="{frame.down(y):.1f}" r="3"'
    return f'<circle class="dot {_kind(line)}" {place}><title>{_text(words)}</title></circle>'


def _legend(lines: Sequence[Line]) -> Iterator[Markup]:
    for line in lines:
        main = " main" if line.main else ""
        sign = Markup(
            '<svg viewBox="0 0 28 8" aria-hidden="true">'
            f'<path class="s {_kind(line)}{main}" d="M0 4h28"/></svg>'
        )
        band = ", smoothed; the band has all values" if line.band else ""
        yield Markup("<li>{}{}{}</li>").format(sign, visible(line.name), band)


def _kind(line: Line) -> str:
    return f"c{line.kind % KINDS}"


def _text(text: str) -> str:
    return str(escape(visible(text)))
