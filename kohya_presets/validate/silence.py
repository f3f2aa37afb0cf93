"""What may be left out: advice and conflicts, by the code of their rule. All else is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kohya_presets.errors import UserError
from kohya_presets.memory import estimate
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem, did_you_mean
from kohya_presets.validate import base, rules

CODES = frozenset({*(rule.code for rule in rules.RULES), *estimate.CODES, *base.CODES})


def require(codes: Iterable[str]) -> None:
    """Raise UserError if one of `codes` is no rule's."""
    for code in sorted(set(codes) - CODES):
        message, hint = _fault(code)
        raise UserError(message, hint=hint)


def of_preset(made: Preset) -> Iterator[Problem]:
    """Yield the codes in the preset's `silence` that are no rule's."""
    for code in sorted(set(made.silence) - CODES):
        where = made.place("preset", "silence")
        yield Problem("unknown-code", "error", where, *_fault(code))


def _fault(code: str) -> tuple[str, str]:
    near = did_you_mean(code, CODES)
    limit = "Only advice and conflict rules can be ignored."
    return f"there is no rule {code!r}", f"{near} {limit}" if near else limit
