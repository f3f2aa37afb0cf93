"""What a watch finds, as values: the caller prints them, and decides what they do to the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# "say": the run goes on. "pause": until there is room on the disk. "go on": there is room again.
# "end": at once and without saving, since what it would save is worthless.
Action = Literal["say", "pause", "go on", "end"]


@dataclass(frozen=True)
class Kept:
    """A whole state of the training, which a run can continue from."""

    folder: Path
    step: int
    size: int = 0  # bytes
    saved: float = 0.0  # when, in seconds since 1970


@dataclass(frozen=True)
class Stop:
    """Why a run stopped, or must stop; `hint` is what to do, in the imperative."""

    code: str
    what: str  # what happened: a sentence without its full stop, as in an error
    cause: str = ""  # the likely cause, a sentence
    hint: str = ""
    state: Kept | None = None  # the newest whole state to resume from

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {line}" for line in self.details)])

    @property
    def details(self) -> tuple[str, ...]:
        """The lines below `what`: the likely cause, and the newest whole state."""
        cause = (f"likely cause: {self.cause}",) if self.cause else ()
        state = self.state
        kept = (f"newest whole state: step {state.step}, {state.folder}",) if state else ()
        return (*cause, *kept)


@dataclass(frozen=True)
class Finding:
    """Something about a run that still runs: what it is, and what is to happen to the run."""

    stop: Stop
    action: Action = "say"

    def __str__(self) -> str:
        hint = (f"  hint: {self.stop.hint}",) if self.stop.hint else ()
        return "\n".join([str(self.stop), *hint])
