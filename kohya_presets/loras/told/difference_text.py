"""A difference as a person reads it, and as the values of JSON for a script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kohya_presets.loras import escape
from kohya_presets.loras.difference import Apart, Difference
from kohya_presets.problems import plural

ROUNDING = 5e-4  # of the norm: the most that storing both as fp16 may change
EXACT = 1e-12  # relative: the rounding of double precision, which depends on the processor
FARTHEST = 5


def text(found: Difference) -> str:
    """Return `found` as text, its last line ended."""
    return "\n".join((*map(escape.controls, _lines(found)), ""))


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
        "left_over": [list(left.tensors) for left in found.left],
        "left_over_share": [left.share for left in found.left],
    }


def sentence(found: Difference) -> str:
    """Return the result in one sentence."""
    relative = found.all.relative
    if any(found.left):
        return _partly(relative)
    if found.all.distance <= EXACT * found.all.norm_a:
        return "A and B make the same change."
    return "A changes nothing." if relative is None else f"{_how(relative)}."


def _partly(relative: float | None) -> str:
    """Return what is known where tensors are left over: never that two files are the same."""
    told = "A changes nothing" if relative is None else _how(relative)
    return f"In the compared layers, {told}. The tensors that are not compared may differ too."


def _how(relative: float) -> str:
    rounding = ", which is fp16 rounding" if EXACT < relative <= ROUNDING else ""
    return f"B differs from A by {100 * relative:.3f} %{rounding}"


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
    for letter, others, left in zip("AB", found.others, found.left, strict=True):
        for kind, count in others.items():
            yield f"{letter} has {plural(count, 'layer')} with {kind}: not compared."
        if left:
            yield f"{letter} has tensors that are not compared: {left}"
    for letter, count in zip("AB", found.scaleless, strict=True):
        if count:
            yield f"{letter} has no alpha in {plural(count, 'module')}: the rank is used instead."
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
