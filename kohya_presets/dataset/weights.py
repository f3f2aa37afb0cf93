"""The parts of a caption that `weighted_captions` tokenizes each on its own, and where they are.

library/custom_train_functions.py: parse_prompt_attention; for SDXL from v0.10.0 on, in
library/strategy_base.py: _get_weighted_input_ids. Older releases stop with weights and SDXL.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

_BRACKETS = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:([+-]?[.\d]+)\)|\)|\]|[^\\()\[\]:]+|:")


@dataclass(frozen=True)
class Part:
    """Text of one weight. `runs` has its pieces, each with its place in the caption."""

    runs: tuple[tuple[int, str], ...]

    @property
    def text(self) -> str:
        """The text without brackets and weights."""
        return "".join(text for _, text in self.runs)

    def place(self, at: int) -> int:
        """Return the place in the caption of a place in `text`."""
        for start, text in self.runs:
            if at < len(text):
                return start + at
            at -= len(text)
        start, text = self.runs[-1]
        return start + len(text)


def whole(text: str) -> Part:
    """Return a caption as one part: without `weighted_captions` brackets are text."""
    return Part(((0, text),))


def parts(text: str) -> list[Part]:
    r"""Return the parts of a caption, in its order.

    Brackets are weights: (word), (word:1.3), [word]; a backslash before one keeps it. Neighbours
    of one weight are one part. BREAK is a word like others.

    Raises:
        ValueError: a weight is no number.
    """
    found: list[tuple[int, str, float]] = []
    round_open: list[int] = []
    square_open: list[int] = []

    def weigh(start: int, factor: float) -> None:
        found[start:] = [(place, part, weight * factor) for place, part, weight in found[start:]]

    for match in _BRACKETS.finditer(text):
        word, weight = match[0], match[1]
        if word.startswith("\\"):
            found.append((match.start() + 1, word[1:], 1.0))
        elif word == "(":
            round_open.append(len(found))
        elif word == "[":
            square_open.append(len(found))
        elif weight is not None and round_open:
            weigh(round_open.pop(), float(weight))
        elif word == ")" and round_open:
            weigh(round_open.pop(), 1.1)
        elif word == "]" and square_open:
            weigh(square_open.pop(), 1 / 1.1)
        else:
            found.append((match.start(), word, 1.0))
    for start in round_open:
        weigh(start, 1.1)
    for start in square_open:
        weigh(start, 1 / 1.1)
    alike = itertools.groupby(found, key=lambda part: part[2])
    return [Part(tuple((place, word) for place, word, _ in same)) for _, same in alike]
