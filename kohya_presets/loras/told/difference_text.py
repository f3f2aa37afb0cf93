"""A difference as a person reads it, and as the values of JSON for a script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kohya_presets.loras.difference import Apart, Difference
from kohya_presets.problems import plural

ROUNDING = 5e-4  # of the norm: the most that storing both as fp16 may change
EXACT = 1e-12  # relative: the rounding of double precision, which depends on the processor
FARTHEST = 5


def text(found: Difference) -> str:
    """Return `found` as text, its last line ended."""
    return "\n".join((*_lines(found), ""))


def values(found: Difference) -> dict[str, Any]:
    """Return the same as a table for JSON, and each module."""
    return {
        "files": [str(file) for file in found.files],
        "all": _values(found.all),
        "parts": list(map(_values, found.parts)),
        "blocks": list(map(_values, found.blocks)),
        "modules": list(map(_values, found.modules)),
        "only_in": [list(names_) for names_ in found.lone],
        "not_compared": list(map(dict, found.others)),
    }


def sentence(found: Difference) -> str:
    """Return the result in one sentence."""
    said = _sentence(found)
    return f"In the compared layers: {said}" if any(found.others) else said


def _sentence(found: Difference) -> str:
    relative = found.all.relative
    if found.all.distance <= EXACT * found.all.norm_a:
        return "A and B make the same change."
    if relative is None:
        return "A changes nothing."
    how = f"B differs from A by {100 * relative:.3f} %"
    return f"{how}, which is fp16 rounding." if relative <= ROUNDING else f"{how}."


def _lines(found: Difference) -> Iterator[str]:
    for letter, file, lone in zip("AB", found.files, found.lone, strict=True):
        only = f", {plural(len(lone), 'module')} only in {letter}, e.g. {lone[0]}" if lone else ""
        yield f"{letter}  {file}{only}"
    yield ""
    yield f"{'block':<18}{'|A|':>10}{'|B|':>10}{'|A-B|':>10}{'of |A|':>10}{'cosine':>10}"
    for each in (*found.blocks, *found.parts, found.all):
        yield f"{each.name:<18}{_numbers(each)}"
    far = sorted(found.modules, key=lambda each: each.distance, reverse=True)[:FARTHEST]
    if found.all.distance:
        yield ""
        yield "largest differences"
        yield from (
            f"  {each.name}  |A-B| {each.distance:.4g}, |A| {each.norm_a:.4g}" for each in far
        )
    yield ""
    for letter, others in zip("AB", found.others, strict=True):
        for kind, count in others.items():
            yield f"{letter} has {plural(count, 'layer')} with {kind}: not compared."
    yield sentence(found)


def _numbers(each: Apart) -> str:
    relative = "-" if each.relative is None else f"{each.relative:.3%}"
    cosine = "-" if each.cosine is None else f"{each.cosine:.5f}"
    norms = (each.norm_a, each.norm_b, each.distance)
    return "".join(f"{norm:>10.4g}" for norm in norms) + f"{relative:>10}{cosine:>10}"


def _values(each: Apart) -> dict[str, Any]:
    return {
        "name": each.name,
        "norm_a": each.norm_a,
        "norm_b": each.norm_b,
        "distance": each.distance,
        "relative": each.relative,
        "cosine": each.cosine,
    }
