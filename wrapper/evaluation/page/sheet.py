"""Write the page of an evaluation: one file, which fetches nothing."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from kohya_presets.judging import advice, epochs, structure
from kohya_presets.judging.epochs import Epoch
from kohya_presets.pages import page as pages
from kohya_presets.pages import plots
from kohya_presets.problems import listed, plural
from wrapper.data import small
from wrapper.data.reading import headers
from wrapper.evaluation.judged import FILE, Judged
from wrapper.evaluation.page import grids
from wrapper.evaluation.shots import FULL
from wrapper.system import whole

HERE = Path(__file__).parent
NAME = "index.html"
BYTES = 9_000_000  # of all small pictures
LEAST, LARGEST = 3_000, 45_000  # bytes of one
WAYS = ((512, 80), (384, 75), (320, 65), (256, 55), (192, 45), (128, 40))
VERDICTS: Mapping[str, str] = {
    advice.UNDERTRAINED: "Undertrained: keep none of them",
    advice.RIGHT: "Keep",
    advice.OVERTRAINED: "Overtrained",
    advice.UNKNOWN: "It is not known which to keep",
}
_PARTS = (
    ("copies", "Copies", "share of captions that come back"),
    ("trigger", "Trigger", "distance from the base with the trigger"),
    ("leak", "Leak", "distance from the base without the trigger"),
    ("diversity", "Diversity", "distance between seeds"),
)


class Small(NamedTuple):
    """A small copy as an address that holds it, and its size in pixels."""

    source: str = ""
    width: int = 0
    height: int = 0
    fault: str = ""


def write(judged: Judged) -> Path:
    """Write the page into the evaluation's folder, and return it."""
    file = judged.evaluation.folder / NAME
    whole.put({file: render(judged).encode("utf-8")})
    return file


def render(judged: Judged) -> str:
    """Return the page."""
    evaluation = judged.evaluation
    shown, pairs = grids.of(judged), grids.pairs(judged)
    cells = [*grids.rows_of(shown), *pairs]
    near = {cell.said.index for cell in cells if cell.said.index is not None}
    most = _room(len(cells) + 2 * len(near))
    pictures = _small({cell.shot.file: evaluation.folder / cell.shot.file for cell in cells}, most)
    images = _small({str(number): judged.images[number] for number in near}, most)
    return pages.render(
        HERE,
        "evaluation.html.jinja",
        made_by="evaluate",
        style=pages.part(HERE / "evaluation.css"),
        script=pages.part(HERE / "evaluation.js"),
        title=evaluation.name,
        count=len(judged.shots),
        verdict=VERDICTS[judged.recommendation.verdict],
        keep=judged.recommendation.model if judged.recommendation.verdict == advice.RIGHT else "",
        reason=judged.recommendation.reason,
        rehearsal=evaluation.site.small,
        facts=_facts(judged),
        unread=listed(judged.unread) if judged.unread else "",
        numbers=[_row(row) for row in judged.of_epochs],
        others=[_row(row) for row in judged.numbers if row.strength != FULL],
        meaning=[(title, epochs.MEANING[part]) for part, title, _ in _PARTS],
        plot=_plot(judged.of_epochs),
        limit=structure.COPY,
        day=datetime.date.today().isoformat(),
        no_pairs=_no_pairs(judged),
        grids=shown,
        pairs=pairs,
        pictures=pictures,
        images=images,
        data=pages.as_json({"images": {number: one.source for number, one in images.items()}}),
        file=FILE,
    )


def _facts(judged: Judged) -> list[tuple[str, str]]:
    evaluation, settings = judged.evaluation, judged.evaluation.settings
    size = f"{settings.width} x {settings.height} pixels where a prompt names no other size"
    return [
        ("trigger", evaluation.trigger or "none was given"),
        ("pictures", f"{settings.sampler}, {settings.steps} steps, scale {settings.scale:g}"),
        ("size", size),
        ("made with", f"{settings.script} of sd-scripts {settings.release}"),
        ("compared with", plural(len(judged.images), "training image")),
    ]


def _no_pairs(judged: Judged) -> str:
    if not judged.images:
        return "There were no training images to compare with."
    if any(row.of for row in judged.numbers):
        return "No picture is like a training image."
    return "No caption was prompted word for word."


def _row(row: Epoch) -> list[str]:
    epoch = "" if row.epoch is None else str(row.epoch)
    copies = f"{row.copies} of {row.of}" if row.of else "not measured"
    far = (row.trigger, row.leak, row.diversity)
    return [row.model, epoch, f"{row.strength:g}", copies, *map(_told, far)]


def _told(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def _plot(rows: Sequence[Epoch]) -> Markup | None:
    """Return the numbers over epochs; None for fewer than two of them."""
    saved = [row for row in rows if row.epoch is not None]
    if len(saved) < 2:
        return None
    told = {
        "copies": [(r.epoch, r.share) for r in saved if r.of],
        **{
            part: [(r.epoch, getattr(r, part)) for r in saved if getattr(r, part) is not None]
            for part in ("trigger", "leak", "diversity")
        },
    }
    lines = [
        plots.plain(f"{title}: {what}", [(float(x or 0), y) for x, y in told[part]], kind=n)
        for n, (part, title, what) in enumerate(_PARTS, start=1)
        if told[part]
    ]
    if not lines:
        return None
    title = "What was measured, by epoch"
    return plots.over_steps(title, lines, x="epoch", y="0 to 1", from_zero=True)


def _room(count: int) -> int:
    return max(LEAST, min(LARGEST, BYTES // max(1, count)))


def _small(files: Mapping[str, Path], most: int) -> dict[str, Small]:
    """Return small copies, made with threads: Pillow works outside of Python's lock."""

    def made(file: Path) -> Small:
        try:
            webp, (width, height) = small.webp(file, WAYS, most)
        except headers.FAULTS as error:
            return Small(fault=headers.told(error))
        return Small(pages.webp_url(webp), width, height)

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        return dict(zip(files, pool.map(made, files.values()), strict=True))
