"""Write a dataset's contact sheet: all its pages, or none."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from kohya_presets.dataset.checks.check import Found
from kohya_presets.dataset.collection import Collection
from kohya_presets.errors import UserError
from wrapper.data.page import cards, html, thumbnails
from wrapper.data.page.cards import Card
from wrapper.data.page.thumbnails import Made, Wanted
from wrapper.system import whole

MOST = 1000  # images on a page
LARGEST = 14_000_000  # bytes of a page
AREAS = ((60, 640), (200, 512), (500, 384))  # up to so many images, that side of a square
AREA = 320  # of more
LEAST_BYTES, MOST_BYTES = 2_500, 70_000  # of a thumbnail
_CARD = 1_600  # bytes of a card's own HTML and data, about
_BASE64 = 4 / 3
ENDINGS = (".html", ".htm")

Progress = Callable[[str, int, int], None]  # what is made, how many are done, of how many


def require(out: Path, *, force: bool = False) -> None:
    """Refuse a place where no page may be written, before an image is read.

    Raises:
        UserError: it is no name of a page, a folder, or exists and `force` is not set.
    """
    if out.suffix.lower() not in ENDINGS:
        raise UserError(f"--out must end in .html, found {out}", hint=f"Use {out.name}.html.")
    if out.is_dir():
        raise UserError(f"cannot write {out}: it is a folder")
    if not force:
        whole.require_free([out])


def write(
    collection: Collection,
    found: Sequence[Found],
    out: Path,
    *,
    notes: Sequence[str] = (),
    force: bool = False,
    on_progress: Progress | None = None,
) -> list[Path]:
    """Return the pages written, the first is `out`; nothing is written unless all are made.

    Raises:
        UserError: one exists, and `force` is not set; or it cannot be written.
    """
    require(out, force=force)
    pages = split(cards.of(collection, found))
    files = [out, *(out.with_stem(f"{out.stem}-{n}") for n in range(2, len(pages) + 1))]
    if not force:
        whole.require_free(files)
    sheet = html.sheet(collection, found, notes, pages, [file.name for file in files])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".kohya-presets-") as work:
            made = [Path(work) / file.name for file in files]
            for number, (page, file) in enumerate(zip(pages, made, strict=True)):
                before = sum(map(len, pages[:number]))
                shown = _thumbnails(page, before, len(collection.items), on_progress)
                text = html.render(sheet, number, page, shown)
                file.write_text(text, encoding="utf-8", newline="\n")
            for source, file in zip(made, files, strict=True):
                source.replace(file)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    return files


def split(every: Sequence[Card]) -> list[Sequence[Card]]:
    """Return the cards of each page, about as many on each; one page for none."""
    count = max(1, -(-len(every) // MOST))
    size, larger = divmod(len(every), count)
    starts = [number * size + min(number, larger) for number in range(count + 1)]
    return [every[start:end] for start, end in itertools.pairwise(starts)]


def _thumbnails(
    page: Sequence[Card], before: int, count: int, on_progress: Progress | None
) -> list[Made]:
    side = next((side for most, side in AREAS if len(page) <= most), AREA)
    most = room(page)
    wanted = [one for card in page if (one := _wanted(card, side * side, most))]

    def tell(done: int, _: int) -> None:
        if on_progress:
            on_progress("thumbnails", before + done, count)

    made = {one.number: one for one in thumbnails.make(wanted, on_progress=tell)}
    return [made.get(card.number, Made(card.number, fault=card.fault)) for card in page]


def room(page: Sequence[Card]) -> int:
    """Return how many bytes a thumbnail may have, so that the page is no larger than `LARGEST`."""
    said = sum(_length(card) for card in page)
    left = (LARGEST - said) / _BASE64 / max(1, len(page))
    return int(min(MOST_BYTES, max(LEAST_BYTES, left)))


def _length(card: Card) -> int:
    texts = (card.name, card.name, card.folder, card.kept, card.cut, card.unread)
    marks = (text for mark in card.marks for text in (mark.code, mark.code, mark.what, mark.todo))
    bare = sum(len(text.encode("utf-8")) for text in (*texts, *marks))
    return _CARD + 200 * len(card.marks) + bare * 5 // 4  # what is escaped is longer


def _wanted(card: Card, area: int, most: int) -> Wanted | None:
    item = card.item
    if item is None or item.header.fault:
        return None
    placed = item.placement
    box, shape = (placed.box, placed.bucket) if placed else (None, item.header.size)
    return Wanted(card.number, item.file, box, shape, area, most)
