"""What may be wrong with images and captions: one table for all checks."""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Iterator

from kohya_presets.dataset.checks import (
    balance,
    captions,
    check,
    files,
    kinds,
    masks,
    sizes,
    whole_set,
)
from kohya_presets.dataset.checks.check import Check, Found
from kohya_presets.dataset.collection import Collection
from kohya_presets.errors import UserError
from kohya_presets.problems import SEVERITIES, did_you_mean

CHECKS: tuple[Check, ...] = (
    *kinds.CHECKS,
    *masks.CHECKS,
    *files.CHECKS,
    *sizes.CHECKS,
    *captions.CHECKS,
    *balance.CHECKS,
    *whole_set.CHECKS,
)
CODES = frozenset(one.code for one in CHECKS)


def found(collection: Collection, *, ignore: Names[str] = ()) -> tuple[Found, ...]:
    """Return everything that the checks find, the gravest first."""
    return tuple(sorted(_found(collection, ignore), key=_gravity))


def require(codes: Names[str]) -> None:
    """Raise UserError if one of `codes` is no check's."""
    for code in sorted(set(codes) - CODES):
        raise UserError(f"there is no check {code!r}", hint=did_you_mean(code, CODES))


def _found(collection: Collection, ignore: Names[str]) -> Iterator[Found]:
    for one in CHECKS:
        if one.code not in ignore and one.holds_for(collection.release):
            for finding in one.find(collection):
                yield check.found(one, finding)


def _gravity(one: Found) -> int:
    return SEVERITIES.index(one.check.severity)
