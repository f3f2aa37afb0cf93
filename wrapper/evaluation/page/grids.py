"""What the page shows of each picture, and how the pictures stand: values only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from kohya_presets.judging import epochs
from kohya_presets.prompts.lines import KINDS, Kind, Prompt
from wrapper.evaluation.judged import Judged
from wrapper.evaluation.shots import BASE, FULL, Model, Shot

TITLES: dict[Kind, tuple[str, str]] = {
    "caption": (
        "Captions word for word",
        "If the training image comes back, the LoRA is overtrained: it remembers a picture.",
    ),
    "near": (
        "Near the captions",
        "It should follow another framing, place or style, and keep the concept.",
    ),
    "trigger": (
        "With the trigger, and the same scene without it",
        "With it, the concept should be there. Without it, the picture should stay as the base has "
        "it: what changes there leaks.",
    ),
    "generic": (
        "Generic prompts",
        "People, objects and landscapes should stay as the base draws them.",
    ),
    "other": ("Other prompts", ""),
}
MOST_PAIRS = 24  # pictures shown beside their training image
UNLIKE = 0.995  # from here on a distance is 1.00, and the nearest image has nothing to do with it


@dataclass(frozen=True)
class Cell:
    """A picture in a grid: which, and what was measured of it. `link` leads to the file."""

    shot: Shot
    said: epochs.Shot
    link: str
    alt: str
    nearest: str = ""  # name of the training image

    @property
    def copy(self) -> bool:
        """Whether it counts as a copy of a training image."""
        return self.said.copy


@dataclass(frozen=True)
class Row:
    """The pictures of one prompt, a column each; None: there is none."""

    number: int
    prompt: Prompt
    kind: Kind
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Grid:
    """Rows of pictures below the names of their columns."""

    title: str
    lead: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = field(default=())


def of(judged: Judged) -> list[Grid]:
    """Return the grids: prompts by epochs, kind by kind, and prompts by strengths."""
    cells = {(c.shot.model, c.shot.number, c.shot.strength): c for c in every(judged)}
    models = judged.evaluation.models
    columns = tuple(map(called, models))
    kinds = judged.evaluation.kinds
    found = []
    for kind, (title, lead) in TITLES.items():
        rows = [
            Row(
                number,
                prompt,
                kinds[number],
                tuple(cells.get((m.name, number, FULL)) for m in models),
            )
            for number, prompt in _numbered(judged, kind)
        ]
        if rows:
            found.append(Grid(title, lead, columns, tuple(rows)))
    return [*found, *_strengths(judged, cells)]


def every(judged: Judged) -> Iterator[Cell]:
    """Yield each picture that was measured."""
    for shot, said in zip(judged.shots, judged.measured, strict=True):
        near = "" if said.index is None else judged.images[said.index].name
        alt = f"{_by(shot)}: {shot.prompt.text}"
        yield Cell(shot, said, f"./{quote(shot.file)}", alt, near)


def pairs(judged: Judged) -> list[Cell]:
    """Return the pictures of captions that are nearest to a training image, the nearest first."""
    kinds = judged.evaluation.kinds
    found = [
        cell
        for cell in every(judged)
        if kinds[cell.shot.number] == "caption"
        and cell.said.nearest is not None
        and cell.said.nearest < UNLIKE
        and cell.shot.model != BASE
        and cell.shot.strength == FULL
    ]
    return sorted(found, key=lambda cell: cell.said.nearest or 0.0)[:MOST_PAIRS]


def called(model: Model) -> str:
    """Return what a column is called."""
    if model.file is None:
        return "base"
    if model.epoch is not None:
        return f"epoch {model.epoch}"
    return f"step {model.step}" if model.step is not None else model.name


def _numbered(judged: Judged, kind: Kind) -> list[tuple[int, Prompt]]:
    """Return the prompts of a kind; each with the trigger is followed by its twin without."""
    kinds = judged.evaluation.kinds
    numbered = [*enumerate(judged.evaluation.prompts, start=1)]
    own = [one for one in numbered if kinds[one[0]] == kind]
    if kind != "trigger":
        return own
    twins = [one for one in numbered if kinds[one[0]] == "without"]
    both = [pair for two in zip(own, twins, strict=False) for pair in two]
    return [*both, *own[len(twins) :], *twins[len(own) :]]


def _strengths(judged: Judged, cells: dict[tuple[str, int, float], Cell]) -> Iterator[Grid]:
    last = judged.evaluation.models[-1]
    strengths = sorted({s.strength for s in judged.shots if s.model == last.name})
    if len(strengths) < 2:
        return
    kinds = judged.evaluation.kinds
    rows = [
        Row(
            number,
            prompt,
            kinds[number],
            (
                cells.get((BASE, number, FULL)),
                *(cells.get((last.name, number, strength)) for strength in strengths),
            ),
        )
        for number, prompt in enumerate(judged.evaluation.prompts, start=1)
        if any((last.name, number, s) in cells for s in strengths if s != FULL)
    ]
    rows.sort(key=lambda row: KINDS.index(row.kind))
    columns = ("base", *(f"{called(last)} at {strength:g}" for strength in strengths))
    lead = "Lower strengths copy less, and show less of the concept."
    yield Grid(f"Strengths of {last.name}", lead, columns, tuple(rows))


def _by(shot: Shot) -> str:
    return "base" if shot.model == BASE else f"{shot.model} at strength {shot.strength:g}"


def rows_of(grids: Sequence[Grid]) -> Iterator[Cell]:
    """Yield the pictures of grids, as they stand, each as often as it stands there."""
    for grid in grids:
        for row in grid.rows:
            yield from (cell for cell in row.cells if cell)
