"""The plots of a report; where there is nothing to draw, why there is not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from kohya_presets.pages import axes, plots
from kohya_presets.pages.axes import Axis, Tick
from kohya_presets.pages.plots import Line, Row
from kohya_presets.problems import plural
from wrapper.reports import events, story, told
from wrapper.reports.events import Scalar
from wrapper.reports.gather import Gathered
from wrapper.screen import progress

LINES = 6  # in one plot
DRAWN = 200  # points of a curve that is computed
_NO_LOGS = (
    "TensorBoard's files are not in logs/tensorboard: the trainer had no tensorboard package, or "
    "the logs were deleted."
)


@dataclass(frozen=True)
class Drawn:
    """A figure, or why there is none; `note` is a sentence beside it."""

    figure: Markup | None = None
    why: str = ""
    note: str = ""


def loss(found: Gathered) -> Drawn:
    """Return the loss of each step, smoothed."""
    points = next((found.scalars[tag] for tag in events.LOSS if tag in found.scalars), [])
    if drawable := _points(points):
        bad = len(points) - len(drawable)
        note = f"At {plural(bad, 'step')} the loss is no number, and not drawn." if bad else ""
        line = plots.noisy("loss of each step", drawable)
        return Drawn(plots.over_steps("Loss by step", [line], y="loss"), note=note)
    if drawable := _points(found.log.losses):
        note = (
            "From the progress bar in logs/train.log, which shows an average over the epoch: "
            "TensorBoard's files are not there."
        )
        line = plots.plain("average loss of the epoch", drawable)
        return Drawn(plots.over_steps("Average loss by step", [line], y="loss"), note=note)
    if points or found.log.losses:
        return Drawn(why="Every loss that was logged is NaN or infinite: the weights are spoiled.")
    return Drawn(why="No loss was logged yet.")


def epochs(found: Gathered) -> Drawn:
    """Return the average loss of each epoch."""
    points = next((found.scalars[tag] for tag in events.EPOCH if tag in found.scalars), [])
    if not (drawable := _points(points)):
        return Drawn(why="No epoch has ended yet." if found.scalars else _NO_LOGS)
    line = plots.plain("average loss of the epoch", drawable)
    return Drawn(plots.over_steps("Average loss by epoch", [line], x="epoch", y="loss"))


def rates(found: Gathered) -> Drawn:
    """Return the learning rates as the trainer logged them."""
    names = [
        tag
        for tag in found.scalars
        if tag.startswith(events.RATE) and not tag.startswith(events.OWN_RATE)
    ]
    return _lines(found, names, "Learning rates by step", "learning rate", events.RATE)


def own_rates(found: Gathered) -> Drawn:
    """Return how far an optimizer with a rate of its own really moved."""
    names = [tag for tag in found.scalars if tag.startswith(events.OWN_RATE)]
    optimizer = found.settings.training.optimizer_name if found.settings else ""
    is_adacoor = optimizer.lower().endswith("adacoor")
    if names:
        drawn = _lines(found, names, "Effective rates by step", "effective rate", events.OWN_RATE)
        note = "How far a step moves a weight on average." if is_adacoor else ""
        return Drawn(drawn.figure, drawn.why, note)
    if not found.scalars:
        return Drawn(why=_NO_LOGS)
    if is_adacoor:
        return Drawn(why="AdaCoor's effective rate was not logged yet.")
    return Drawn(why=f"{optimizer or 'The optimizer'} logs no rate of its own.")


def average(found: Gathered) -> Drawn:
    """Return the decay of the average of the weights (EMA), computed from the preset."""
    preset = found.preset
    if preset is None or not preset.train.get("enable_ema"):
        return Drawn(why="This run keeps no average of its weights (EMA).")
    decay, beta = preset.train.get("ema_decay", 0.999), preset.train.get("ema_exp_beta", 15.0)
    steps = found.log.total
    if not steps or not all(isinstance(number, int | float) for number in (decay, beta)):
        return Drawn(why="The decay of the average is not known before the first step.")
    curve = [(step, _decay(step, steps, decay, beta)) for step in _spread(steps)]
    note = (
        "Computed from the preset: the trainer does not log it. At its end the average reaches "
        f"over about {1 / max(1e-9, 1 - curve[-1][1]):,.0f} steps."
    )
    line = Line("decay", curve)
    return Drawn(plots.over_steps("Decay of the average (EMA)", [line], y="decay"), note=note)


def memory(found: Gathered) -> Drawn:
    """Return the GPU memory that was seen while kohya-presets watched the run."""
    seen = found.memory
    if not seen:
        return Drawn(
            why="No GPU memory was logged: there is no NVIDIA GPU, or the run was not watched."
        )
    first = seen[0].at
    points = [((each.at - first) / 60, each.used / 1024) for each in seen]
    most = max(y for _, y in points)
    note = f"At most {most:.1f} GiB of {seen[-1].total / 1024:.1f} GiB, seen twice a minute."
    line = plots.plain("used", points)
    title = "GPU memory"
    drawn = plots.over_steps(title, [line], x="minutes", y="GiB used", from_zero=True)
    return Drawn(drawn, note=note)


def times(found: Gathered) -> Drawn:
    """Return the time of each stage, with its cost where the rate is known."""
    rows = told.times(found)
    if not rows:
        return Drawn(why="No stage has ended yet.")
    note = f"In all {told.total(found)}."
    if found.rate is None:
        note += " Add --rate MONEY to see the cost."
    return Drawn(plots.bars("Time of each stage", rows), note=note)


def line_of_time(found: Gathered) -> Drawn:
    """Return attempts and states on a line of time."""
    spans = story.spans(found)
    if not spans:
        return Drawn(why="Nothing was started yet.")
    rows = []
    for stage in dict.fromkeys(span.stage for span in spans):
        own = [span for span in spans if span.stage == stage]
        stretches = [(span.begin, span.end, _told(span)) for span in own]
        rows.append(Row(stage, stretches))
    saved = [moment for moment in story.moments(found) if moment.kind == "saved"]
    begin, end = min(span.begin for span in spans), max(span.end for span in spans)
    kept = [(m.at, f"{story.when(m.at)}: {m.text}") for m in saved if begin <= m.at <= end]
    rows.append(Row("saved", moments=kept))
    return Drawn(plots.spans("Attempts and saves by time", _hours(begin, end), rows))


def _lines(found: Gathered, tags: Sequence[str], title: str, y: str, prefix: str) -> Drawn:
    if not tags:
        return Drawn(why=f"No {y} was logged." if found.scalars else _NO_LOGS)
    lines = [
        plots.plain(tag.removeprefix(prefix).strip("/") or y, points, kind=kind)
        for kind, tag in enumerate(tags[:LINES])
        if (points := _points(found.scalars[tag]))
    ]
    if not lines:
        return Drawn(why=f"Every {y} that was logged is NaN or infinite.")
    more = len(tags) - LINES
    note = f"{plural(more, 'further rate')} not drawn." if more > 0 else ""
    return Drawn(plots.over_steps(title, lines, y=y, from_zero=True), note=note)


def _points(scalars: Iterable[Scalar]) -> list[tuple[float, float]]:
    return [(float(s.step), s.value) for s in scalars if math.isfinite(s.value)]


def _decay(step: float, steps: int, decay: float, beta: float) -> float:
    """Return the decay at a step, as patches/ema has it: see `ema_exp_beta` in its README."""
    if not beta:
        return min(decay, (1 + step) / (10 + step))
    return float(decay * -math.expm1(-beta * step / steps))


def _spread(steps: int) -> list[float]:
    return [float(round(1 + at * (steps - 1) / (DRAWN - 1))) for at in range(DRAWN)]


def _told(span: story.Span) -> str:
    end = "last seen running" if span.guessed else "until"
    took = progress.clock(span.end - span.begin)
    return (
        f"{span.stage}, attempt {span.number}: {story.when(span.begin)}, {end} "
        f"{story.when(span.end)} ({took})"
    )


def _hours(begin: float, end: float) -> Axis:
    """Return an axis of the time since the beginning, in seconds, minutes or hours."""
    long = max(1.0, end - begin)
    unit, name = next(u for u in _UNITS if long >= u[0] * 2 or u[0] == 1)
    step = axes.round_step(long / unit / 8)
    count = math.floor(long / unit / step + 1e-9)
    ticks = (Tick(begin + n * step * unit, axes.number(n * step, step)) for n in range(count + 1))
    return Axis(begin, begin + long, tuple(ticks), f"{name} since {story.when(begin)}")


_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
