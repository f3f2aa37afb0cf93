"""A contact sheet as HTML: one file that asks for nothing, whatever names and captions say."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from kohya_presets.dataset.checks.check import Found
from kohya_presets.dataset.collection import Collection
from kohya_presets.pages import page as pages
from kohya_presets.pages.shown import visible
from kohya_presets.problems import SEVERITIES, counts, plural
from wrapper.data.page import cards
from wrapper.data.page.cards import Card
from wrapper.data.page.thumbnails import Made

HERE = Path(__file__).parent
NAMED = 40  # files of a finding that are named, where they are on no card


class Row(NamedTuple):
    """A finding in the table on each page; `on` are the pages with its images, by number."""

    severity: str
    code: str
    message: str
    does: str
    todo: str
    others: tuple[str, ...]  # names of its files that are no images of the set
    more: int  # of those that are not named
    on: tuple[int, ...]
    images: int  # how many of its files are


class Sheet(NamedTuple):
    """What all pages say alike. `files` are the pages' names."""

    title: str
    release: str
    images: int
    told: str
    random_crop: bool
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...]
    folders: tuple[str, ...]


def sheet(
    collection: Collection,
    found: Sequence[Found],
    notes: Sequence[str],
    pages: Sequence[Sequence[Card]],
    files: Sequence[str],
) -> Sheet:
    """Return what all pages of a dataset say alike."""
    folders = tuple(dict.fromkeys(cards.folders(collection)))
    title = folders[0] if len(folders) == 1 else plural(len(folders), "folder")
    problems = [same[0].problem for same in _together(found)]
    return Sheet(
        title,
        collection.release,
        len(collection.items),
        counts(problems) or "no errors, no warnings",
        any(subset.has("random_crop") for subset in collection.subsets),
        tuple(_rows(collection, found, pages)),
        tuple(map(visible, notes)),
        tuple(files),
        folders,
    )


def render(sheet: Sheet, number: int, page: Sequence[Card], made: Sequence[Made]) -> str:
    """Return the page of that number, from 0 on, with its thumbnails."""
    return pages.render(
        HERE,
        "page.html.jinja",
        made_by="dataset page",
        style=pages.part(HERE / "page.css"),
        script=pages.part(HERE / "page.js"),
        sheet=sheet,
        number=number,
        links=[f"./{quote(file)}" for file in sheet.files],
        cards=list(zip(page, (pages.webp_url(one.webp) for one in made), made, strict=True)),
        data=pages.as_json(_data(page)),
        codes=_codes(page),
        buckets=_buckets(page),
    )


def _data(page: Sequence[Card]) -> list[dict[str, Any]]:
    """Return what the script filters and sorts by; the texts it reads from the page."""
    return [
        {
            "name": card.name,
            "folder": card.folder,
            "bucket": card.bucket,
            "tokens": card.tokens,
            "sharpness": card.sharpness,
            "pixels": card.size[0] * card.size[1],
            "codes": sorted({mark.code for mark in card.marks}),
            "findings": len(card.marks),
        }
        for card in page
    ]


def _codes(page: Sequence[Card]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return each severity with its codes and their numbers of images, the gravest first."""
    keys = ({(mark.severity, mark.code) for mark in card.marks} for card in page)
    count = Counter(itertools.chain.from_iterable(keys))
    return [
        (severity, sorted((code, n) for (of, code), n in count.items() if of == severity))
        for severity in SEVERITIES
        if any(of == severity for of, _ in count)
    ]


def _buckets(page: Sequence[Card]) -> list[tuple[int, int, int]]:
    """Return width, height and number of images of the buckets on a page, high ones first."""
    count = Counter(card.bucket for card in page if card.bucket)
    each = sorted(count.items(), key=lambda pair: pair[0][0] / pair[0][1])
    return [(*size, n) for size, n in each]


def _rows(
    collection: Collection, found: Sequence[Found], pages: Sequence[Sequence[Card]]
) -> Iterator[Row]:
    """Yield the findings: those that say the same, of several groups or folders, as one."""
    places = {
        file: number
        for number, page in enumerate(pages)
        for card in page
        if card.item
        for file in (card.item.file, *([card.item.caption.file] if card.item.caption else []))
    }
    groups = {frozenset(group.files) for group in collection.groups}
    for same in _together(found):
        one = same[0]
        files = dict.fromkeys(file for each in same for file in each.finding.files)
        others = [visible(file.name) for file in files if file not in places]
        noun = "group" if frozenset(one.finding.files) in groups else "folder"
        message = f"{plural(len(files), one.check.noun)} " if files else ""
        message += one.finding.what + (f", in {len(same)} {noun}s" if len(same) > 1 else "")
        yield Row(
            one.check.severity,
            one.check.code,
            visible(message),
            one.check.does,
            visible(one.problem.hint or ""),
            tuple(others[:NAMED]),
            max(0, len(others) - NAMED),
            tuple(sorted({places[file] for file in files if file in places})),
            len(files) - len(others),
        )


def _together(found: Sequence[Found]) -> list[list[Found]]:
    same: dict[tuple[str, ...], list[Found]] = {}
    for one in found:
        told = (one.check.code, one.finding.what, one.problem.hint or "")
        same.setdefault(told, []).append(one)
    return [*same.values()]
