"""Why a stage failed: from the last words of its log, its exit code and what the kernel counted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wrapper.watching import log_end
from wrapper.watching.findings import Stop
from wrapper.watching.known import gpu, machine, packages
from wrapper.watching.known.signature import Signature
from wrapper.watching.situation import Situation

# The first one that fits is the answer, so the particular comes before the general.
SIGNATURES = (*gpu.EVERY, *packages.EVERY, *machine.EVERY)


def of(lines: Sequence[str], at: Situation | None = None) -> Stop | None:
    """Return why a process that wrote these lines failed; None where they say nothing known.

    Ask only about a process that failed.
    """
    at = at or Situation()
    raised = log_end.folded(log_end.raised(lines))
    ended = raised or "\n".join(log_end.last(lines))
    for known in SIGNATURES:
        if found := _recognized(known, raised, ended, lines):
            return _answer(known, found, at)
    return None


def _recognized(
    known: Signature, raised: str, ended: str, lines: Sequence[str]
) -> re.Match[str] | None:
    if not known.explains:
        return re.search(known.words, ended)
    if raised and not re.search(known.explains, raised):
        return None
    return re.search(known.words, log_end.folded(lines) if raised else ended)


def _answer(known: Signature, found: re.Match[str], at: Situation) -> Stop:
    groups = [group for group in found.groups() if group]
    what = known.what.format(*groups, **found.groupdict())
    return Stop(known.code, what, known.cause, known.remedy(at, found), at.newest())
