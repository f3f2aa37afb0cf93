"""Errors a person can fix. Anything else that escapes is our bug, and keeps its traceback."""

from __future__ import annotations

from collections.abc import Sequence

from kohya_presets.problems import Problem, plural


class UserError(Exception):
    """Something outside this program is wrong: a preset, a path, a checkout, a trainer run.

    `hint` tells the reader what to do next, in the imperative, and is printed on its own line.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ProblemsError(UserError):
    """Several things are wrong at once; `problems` holds all of them."""

    def __init__(
        self, subject: str, problems: Sequence[Problem], *, hint: str | None = None
    ) -> None:
        super().__init__(f"{subject}: {plural(len(problems), 'problem')}", hint=hint)
        self.problems = tuple(problems)


class PresetError(ProblemsError):
    """A preset has errors; one `Problem` for each."""

    exit_code = 3


class PatchError(UserError):
    """A patch cannot be applied or removed; nothing was changed."""

    exit_code = 4


class AnchorError(PatchError):
    """A patch does not fit the file: its anchor is missing or ambiguous."""


class TrainerError(UserError):
    """The training process itself failed, or its result cannot be used."""

    exit_code = 5


class StoppedError(UserError):
    """Training was stopped from outside, after it had saved its state: it can go on from there."""

    exit_code = 7
