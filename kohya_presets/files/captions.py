"""Captions from file names, as in the guide's workflow: the name is the caption. And the reverse.

Bulk-rename tools add a counter to files of one caption; it is not part of the caption.
"""

from __future__ import annotations

import re

# " (12)", "_012" and " 12". A year or a size would look like one too, so a bare number counts only
# up to three digits; four and more stay.
_COUNTER = re.compile(r"(?:\s*\(\d+\)|_\d+|\s+\d{1,3})$")


def from_name(stem: str) -> str:
    """Return the caption in an image's name without suffix: one trailing counter is taken off.

    A name that is only a counter stays as it is: an empty caption would be worse.
    """
    name = stem.strip()
    return _COUNTER.sub("", name).strip() or name


def to_name(caption: str, number: int = 0) -> str:
    """Return a name without suffix from which `from_name` reads this caption.

    `number` tells images of one caption apart; 0 is for the only one. A caption that ends as if
    with a counter gets one even so: that one is taken off.
    """
    alone = number == 0 and from_name(caption) == caption
    return caption if alone else f"{caption} ({number or 1})"
