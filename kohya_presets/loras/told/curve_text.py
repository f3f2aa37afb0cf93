"""A curve as a person reads it, and as the values of JSON for a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from kohya_presets.loras import curve as curves
from kohya_presets.loras.curve import DIRECT, HIGH, LOW, Curve, Detour, Row
from kohya_presets.problems import plural

MARKS = {LOW: f"the guide's {HIGH} resized to {LOW}", DIRECT: f"the guide's {DIRECT} directly"}


def text(curve: Curve) -> str:
    """Return `curve` as text, its last line ended."""
    return "\n".join(
        (
            *(*rounding(curve), *_by_rank(curve), "", *_by_block(curve), ""),
            *(advice(curve), *_claims(curve), ""),
        )
    )


def values(curve: Curve) -> dict[str, Any]:
    """Return the same as a table for JSON, and each module."""
    return {
        "ranks": list(curve.ranks),
        "sizes": list(curve.sizes),
        "all": _values(curve.all),
        "parts": list(map(_values, curve.parts)),
        "blocks": list(map(_values, curve.blocks)),
        "modules": [
            {"name": m.name, "shape": m.shape, "norm": m.energy**0.5, "retained": m.retained}
            for m in curve.modules
        ],
        "unchanged": curve.unchanged,
        "detour": [{"name": detour.name, **detour.numbers} for detour in curve.detours],
        "rounding": asdict(curve.rounding) if curve.rounding else None,
        "advice": advice(curve),
    }


def advice(curve: Curve) -> str:
    """Return one sentence: which rank is enough, and what the guide's two choices keep."""
    guide = " and ".join(
        f"{mark} keeps {kept:.1%} ({megabytes(size)})"
        for rank, kept, size in zip(curve.ranks, curve.all.retained, curve.sizes, strict=True)
        if (mark := MARKS.get(rank))
    )
    at = curves.enough(curve)
    if at is None:
        return f"{_spread(curve)}; {guide}."
    rank, kept, size = curve.ranks[at], curve.all.retained[at], megabytes(curve.sizes[at])
    return (
        f"Rank {rank} keeps {kept:.1%} of the change in {size}; doubling the rank adds less than "
        f"{curves.LITTLE:.0%}; {guide}."
    )


def rounding(curve: Curve) -> tuple[str, ...]:
    """Return the lines about two formats: what rounding explains, and what to do about it."""
    found = curve.rounding
    if not found:
        return ()
    if found.left_out:
        done = f"The base was rounded to {found.tuned} first, so that this is left out."
    else:
        done = "The rounding counts as training below. To leave it out, add --round-base."
    return (
        f"The base is stored as {found.base}, the tuned model as {found.tuned}.",
        f"Rounding the base to {found.tuned} changes it by {found.rounding:.3g} (norm). The tuned "
        f"model differs from the base by {found.whole:.3g}, from the rounded base by "
        f"{found.alike:.3g}.",
        done,
        "",
    )


def megabytes(size: int) -> str:
    """Return "113 MB", "0.4 MB"."""
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def detour(curve: Curve) -> tuple[str, ...]:
    """Return the lines about the detour: the results of both ways, and their difference."""
    if not curve.detours:
        return ()
    said = [
        f"Extracting at {HIGH} and resizing to {LOW}, compared with extracting at {LOW}, in the "
        f"{plural(len(curve.detours), 'module')} that changed most:"
    ]
    for words, suffix in (
        ("computed in fp32", ""),
        ("stored as fp16", "_fp16"),
        ("also clamped at 0.99, the default of sd-scripts", "_clamped"),
    ):
        direct, through, apart = (
            _span(curve.detours, f"{name}{suffix}") for name in ("direct", "through", "apart")
        )
        said.append(f"  {words}: error {through}, directly {direct}; difference of the two {apart}")
    return tuple(said)


def _spread(curve: Curve) -> str:
    before, last = curve.all.retained[-2:]
    half = curves.reaching(curve, 0.5)
    takes = "a higher rank than these"
    if half is not None:
        takes = f"rank {curve.ranks[half]} ({megabytes(curve.sizes[half])})"
    return (
        f"The change is spread over many directions, like noise: doubling rank {curve.ranks[-2]} "
        f"still adds {last - before:.0%} of it, and to keep half of it takes {takes}"
    )


def _by_rank(curve: Curve) -> Iterator[str]:
    rows = (curve.all, *curve.parts)
    left = f", {curve.unchanged} unchanged" if curve.unchanged else ""
    modules = plural(curve.all.modules, "module")
    yield f"How much of the squared change each rank keeps ({modules}{left}):"
    yield ""
    yield f"{'rank':>6}" + "".join(f"{row.name:>16}" for row in rows) + f"{'fp16 file':>12}"
    for index, (rank, size) in enumerate(zip(curve.ranks, curve.sizes, strict=True)):
        kept = "".join(f"{row.retained[index]:>16.2%}" for row in rows)
        mark = f"  <- {MARKS[rank]}" if rank in MARKS else ""
        yield f"{rank:>6}{kept}{megabytes(size):>12}{mark}"


def _by_block(curve: Curve) -> Iterator[str]:
    yield f"{'block':<18}{'norm':>9}" + "".join(f"{rank:>7}" for rank in curve.ranks)
    for row in curve.blocks:
        kept = "".join(f"{kept:>7.1%}" for kept in row.retained)
        yield f"{row.name:<18}{row.norm:>9.3g}{kept}"


def _claims(curve: Curve) -> Iterator[str]:
    if lines := detour(curve):
        yield ""
        yield from lines


def _span(detours: Sequence[Detour], key: str) -> str:
    numbers = [detour.numbers[key] for detour in detours]
    low, high = (f"{100 * number:.3g}" for number in (min(numbers), max(numbers)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _values(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "modules": row.modules,
        "norm": row.norm,
        "retained": list(row.retained),
    }
