"""Checks that several rules share: an option that needs, excludes or depends on others."""

from __future__ import annotations

from collections.abc import Callable

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import Finding


def needs(key: str, other: str, hint: str | None = None) -> Callable[[Settings], Finding | None]:
    """Return a check that the training option `key` is given only with `other`."""

    def find(s: Settings) -> Finding | None:
        if s.given("train", key) in (None, False) or s.train(other) not in (None, False):
            return None
        message = f"{key} needs {other}"
        return Finding("train", key, message, hint or f"Set {other} too, or leave {key} out.")

    return find


def excludes(key: str, *others: str) -> Callable[[Settings], Finding | None]:
    """Return a check that the training option `key` is not given with one of `others`."""

    def find(s: Settings) -> Finding | None:
        both = [other for other in others if s.train(other)]
        if not s.train(key) or not both:
            return None
        message = f"{key} does not work with {both[0]}"
        return Finding("train", key, message, "Delete one of the two.")

    return find


def only_with(
    keys: tuple[str, ...], acts: Callable[[Settings], bool], condition: str
) -> Callable[[Settings], Finding | None]:
    """Return a check that none of `keys` is given where it has no effect."""

    def find(s: Settings) -> Finding | None:
        idle = [key for key in keys if s.changed("train", key) not in (None, False)]
        if not idle or acts(s):
            return None
        message = f"{idle[0]} has no effect {condition}"
        return Finding("train", idle[0], message, f"Leave {idle[0]} out.")

    return find
