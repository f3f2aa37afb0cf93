"""How many of the models and states that training saves on its way are kept."""

from __future__ import annotations


def kept(length: int, every: int | None, last: int | None) -> int:
    """Return how many of the saves before the end are kept: a save at the end is the final model.

    All in epochs, or `length` and `every` in steps; `last` is a number of saves, None: all.
    """
    between = max(0, length - 1) // every if every else 0
    return min(between, last or between)
