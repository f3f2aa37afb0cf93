"""What a known failure looks like, and what it means."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from wrapper.watching.situation import Situation

Remedy = Callable[[Situation, re.Match[str]], str]


class Signature(NamedTuple):
    """Words, and what they mean. `what` may name groups of the words: "{file}", "{0}".

    Words are looked for in what stopped the process (`log_end`), where a line break and spaces are
    one space. A warning may explain an exception that comes much later: it counts only if the
    exception has the words `explains`. `of` is where the words were seen.
    """

    code: str
    words: str
    what: str
    cause: str
    remedy: Remedy
    of: str
    explains: str = ""
