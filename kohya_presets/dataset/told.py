"""What a check of a dataset found, as a person or a script reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kohya_presets.dataset.checks.check import Found
from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.dataset.sizes.steps import Length
from kohya_presets.problems import counts, first, plural

SHOWN = 8  # buckets that are listed
AN_HOUR = 3600


def text(
    collection: Collection,
    found: Sequence[Found],
    *,
    advice: bool = False,
    processes: int = 1,
    pace: float | None = None,
    rate: float | None = None,
) -> str:
    """Return the report: what was found, the gravest first, then buckets and steps.

    `pace` is in steps per second, `rate` in money per hour.
    """
    images = plural(len(collection.items), "image")
    folders = len(collection.subsets)
    where = collection.subsets[0].name if folders == 1 else plural(folders, "subset")
    problems = [one.problem for one in found]
    lines = [f"{where}: {images}; {counts(problems) or 'no errors, no warnings'}"]
    hidden = 0
    for one in found:
        if one.check.severity == "advice" and not advice:
            hidden += 1
        else:
            lines += _finding(one)
    if hidden:
        lines.append(f"  advice: {plural(hidden, 'finding')}: add --advice to see them")
    lines += _buckets(collection)
    lines += _steps(collection, collection.length(processes=processes), processes, pace, rate)
    return "\n".join(lines)


def values(collection: Collection, found: Sequence[Found], *, processes: int = 1) -> dict[str, Any]:
    """Return the same as a table for JSON."""
    length = collection.length(processes=processes)
    return {
        "release": collection.release,
        "subsets": [
            {
                "name": subset.name,
                "kind": subset.kind,
                "dataset": subset.dataset,
                "images": len(collection.of(number)),
                "repeats": subset.repeats,
                "regularization": subset.is_reg,
                "left_out": collection.unused.get(number),
            }
            for number, subset in enumerate(collection.subsets)
        ],
        "images": [_image(item) for item in collection.items],
        "problems": [one.values() for one in found],
        "buckets": [
            {"dataset": number, "width": size[0], "height": size[1], "pictures": count}
            for number, epoch in collection.epochs.items()
            for size, count in sorted(epoch.pictures.items())
        ],
        "steps_per_epoch": length.by_epoch,
        "steps": length.steps,
    }


def _image(item: Item) -> dict[str, Any]:
    placed, counted = item.placement, item.counted
    return {
        "file": str(item.file),
        "subset": item.subset,
        "width": item.header.width,
        "height": item.header.height,
        "bucket": list(placed.bucket) if placed else None,
        "scale": round(placed.scale, 4) if placed else None,
        "cut": round(placed.lost, 4) if placed else None,
        "caption": item.text,
        "tokens": counted.tokens if counted else None,
    }


def _finding(one: Found) -> Iterator[str]:
    yield f"  {one.check.severity}: {one.problem}"
    yield f"    sd-scripts: {one.check.does}"
    if one.problem.hint:
        yield f"    hint: {one.problem.hint}"


def _buckets(collection: Collection) -> Iterator[str]:
    for number, epoch in collection.epochs.items():
        sizes = sorted(epoch.pictures.items(), key=lambda pair: -pair[1])
        of = f" of dataset {number + 1}" if len(collection.epochs) > 1 else ""
        shown = first([f"{w} x {h}: {count}" for (w, h), count in sizes], SHOWN)
        yield f"  {plural(len(sizes), 'bucket')}{of}, pictures in each: {shown}"


def _steps(
    collection: Collection, length: Length, processes: int, pace: float | None, rate: float | None
) -> Iterator[str]:
    seen = sum(epoch.seen for epoch in collection.epochs.values())
    if not seen:
        return
    told = (
        f"  {plural(length.by_epoch, 'step')} an epoch ({plural(seen, 'picture')}, repeats counted)"
    )
    told += f" on {plural(processes, 'GPU')}" if processes > 1 else ""
    if length.steps:
        told += f"; {length.steps} in all, {plural(length.epochs, 'epoch')}"
    yield told
    if pace and length.steps:
        hours = length.seconds(pace) / AN_HOUR
        money = f", {hours * rate:.2f} at {rate:g} an hour" if rate is not None else ""
        yield f"  {hours:.1f} hours at {pace:g} steps a second{money}"
