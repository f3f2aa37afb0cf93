"""The last words of a log: what stopped the process, without what it survived.

sd-scripts and what it imports print warnings, and even tracebacks, of things that they go on
without (xformers, triton, NumPy). Only what nothing came after can have stopped them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from wrapper.screen import progress

LAST_LINES = 12  # where nothing was raised
LONGEST = 300  # letters of a line that is shown
# rich draws a frame around its traceback; accelerate 0.23 and 0.25 install it.
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)")
_RAISED = re.compile(r"(?:\[rank\d+\]:\s*)?[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b(:|$)")
_CHAINED = re.compile(
    r"During handling of the above exception|The above exception was the direct cause"
)
_LAUNCHER = re.compile(r"CalledProcessError: Command")
# A line of sd-scripts' own log, as rich or the standard library writes it.
_GOES_ON = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d+)?)?\s*(INFO|WARNING)\b")


def split(text: str) -> list[str]:
    """Return the lines of a log; each state of a bar is one."""
    return text.replace("\r", "\n").split("\n")


def raised(lines: Sequence[str]) -> list[str]:
    """Return the exception that ended the process, with those it came from; none: []."""
    ends = [n for n, line in enumerate(lines) if _is_raised(line)]
    if not ends or _went_on(lines, ends[-1]):
        return []
    found = _message(lines, ends[-1])
    for earlier, later in zip(ends[-2::-1], ends[:0:-1], strict=True):
        if not any(_CHAINED.search(line) for line in lines[earlier:later]):
            break
        found = [*_message(lines, earlier), *found]
    return found


def last(lines: Sequence[str]) -> list[str]:
    """Return the last lines that are no bars."""
    whole = [line.strip() for line in lines if line.strip() and progress.read(line) is None]
    return whole[-LAST_LINES:]


def words(lines: Sequence[str]) -> str:
    """Return the line that says most about a failure: the last error, else the last line."""
    every = [line.strip() for line in lines if line.strip()]
    # accelerate reports the trainer's failure a second time, after the trainer's own error.
    errors = [line for line in every if _RAISED.match(line) or _LAUNCHER.search(line)]
    own = [line for line in errors if _is_raised(line)]
    if not own and errors:
        return _of_launcher(errors[-1])
    return (own or every or ["it printed nothing"])[-1][:LONGEST]


def _of_launcher(line: str) -> str:
    """Return what accelerate's launcher says of the trainer, without its whole command."""
    if killed := re.search(r"died with <Signals\.(\w+)", line):
        return f"the trainer was killed ({killed[1]})"
    if ended := re.search(r"returned non-zero exit status (-?\d+)", line):
        return f"the trainer ended with exit code {ended[1]}"
    return line[:LONGEST]


def folded(lines: Iterable[str]) -> str:
    """Return lines as one: a message is wrapped where the log was narrow."""
    return " ".join(" ".join(lines).split())


def _is_raised(line: str) -> bool:
    return bool(_RAISED.match(line.strip()) and not _LAUNCHER.search(line))


def _message(lines: Sequence[str], at: int) -> list[str]:
    """Return what was raised at a line: a message may have several."""
    found = [lines[at].strip()]
    for line in lines[at + 1 :]:
        if _TRACEBACK.search(line) or _CHAINED.search(line):
            break
        found += [line.strip()] if line.strip() and progress.read(line) is None else []
    return found


def _went_on(lines: Sequence[str], at: int) -> bool:
    """Return whether something was done after the line `at`: then that stopped nothing."""
    before = [step.done for step in map(progress.read, lines[:at]) if step]
    after = [step.done for step in map(progress.read, lines[at:]) if step]
    further = bool(after) and max(after) > max(before, default=0)
    return further or any(_GOES_ON.match(line) for line in lines[at + 1 :])
