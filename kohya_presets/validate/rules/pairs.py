"""Checks that several rules are made of: an option that needs, excludes or idles beside others."""

from __future__ import annotations

from collections.abc import Callable

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import Finding


def needs(key: str, other: str, hint: str | None = None) -> Callable[[Settings], Finding | None]:
    """Return a check that the training option `key` is given only beside `other`."""

    def find(s: Settings) -> Finding | None:
        if s.given("train", key) in (None, False) or s.train(other) not in (None, False):
            return None
        message = f"{key} is given without {other}"
        return Finding("train", key, message, hint or f"Give {other} too, or leave {key} out.")

    return find


def excludes(key: str, *others: str) -> Callable[[Settings], Finding | None]:
    """Return a check that the training option `key` is not given beside one of `others`."""

    def find(s: Settings) -> Finding | None:
        both = [other for other in others if s.train(other)]
        if not s.train(key) or not both:
            return None
        return Finding("train", key, f"{key} does not go with {both[0]}", "Keep one of the two.")

    return find


def only_with(
    keys: tuple[str, ...], acts: Callable[[Settings], bool], condition: str
) -> Callable[[Settings], Finding | None]:
    """Return a check that none of `keys` is given where nothing looks at it."""

    def find(s: Settings) -> Finding | None:
        idle = [key for key in keys if s.given("train", key) not in (None, False)]
        if not idle or acts(s):
            return None
        message = f"{idle[0]} does nothing {condition}"
        return Finding("train", idle[0], message, f"Leave {idle[0]} out.")

    return find
