"""Tokens as sd-scripts counts them: CLIP's byte-pair encoding, and where a caption ends.

The trainers use transformers' CLIPTokenizer in Python, with ftfy (all releases require it); the one
of the package `tokenizers` gives other tokens for many captions. Both text encoders of SDXL have
the same vocabulary. library/train_util.py: get_input_ids; library/strategy_base.py from v0.9.0 on.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2  # of the vocabulary's file, which has more
ROOM = 75  # tokens of a caption beside start and end, without max_token_length
_SPECIAL = re.compile(f"({re.escape(START)}|{re.escape(END)})")
_LAST = "</w>"  # marks the last piece of a word
# Words, single digits, and runs of other signs; English endings are words of their own.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Counted(NamedTuple):
    """How many tokens a caption has, how many are trained, and the text that is cut off."""

    tokens: int
    room: int
    rest: str = ""

    @property
    def lost(self) -> int:
        """How many tokens are cut off."""
        return max(0, self.tokens - self.room)


@dataclass(frozen=True)
class Tokenizer:
    """CLIP's tokenizer, from the pairs of its vocabulary in the order in which they are merged."""

    merges: tuple[tuple[str, str], ...]

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text, without start and end."""
        found: list[int] = []
        for part in _SPECIAL.split(text):
            if part in (START, END):
                found.append(self.numbers[part])
            elif part:
                found += [
                    self.numbers[piece] for word in _words(part) for piece in self.pieces(word)
                ]
        return found

    def count(self, text: str) -> int:
        """Return how many tokens a text has, without start and end."""
        parts = _SPECIAL.split(text)
        pieces = (len(self.pieces(word)) for part in parts[::2] for word in _words(part))
        return sum(pieces) + len(parts) // 2

    def is_word(self, text: str) -> bool:
        """Return whether a text is one token: a word that the model knows."""
        return len(self.ids(text)) == 1

    def pieces(self, word: str) -> tuple[str, ...]:
        """Return the pieces of a word, each a token."""
        known = self._pieces.get(word)
        if known is None:
            if len(self._pieces) > 100_000:  # words: some megabytes
                self._pieces.clear()
            known = self._pieces[word] = self._merged(word)
        return known

    @functools.cached_property
    def _pieces(self) -> dict[str, tuple[str, ...]]:
        return {}

    @functools.cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each piece: signs, signs that end a word, merged pairs, ends."""
        signs = list(_signs().values())
        every = [*signs, *(sign + _LAST for sign in signs), *map("".join, self.merges), START, END]
        return {piece: number for number, piece in enumerate(every)}

    def _merged(self, word: str) -> tuple[str, ...]:
        """Return a word with its pairs merged, the first of the vocabulary's list first."""
        signs = _signs()
        pieces = [signs[byte] for byte in word.encode("utf-8")]
        pieces[-1] += _LAST
        while len(pieces) > 1:
            ranks = [self._ranks.get(pair) for pair in itertools.pairwise(pieces)]
            best = min((rank for rank in ranks if rank is not None), default=None)
            if best is None:
                break
            pieces = [*_joined(pieces, self.merges[best])]
        return tuple(pieces)


def counted(tokenizer: Tokenizer, text: str, room: int, *, weighted: bool = False) -> Counted:
    """Return how many tokens a caption has of which `room` are trained.

    Raises:
        ValueError: sd-scripts cannot read a weight in it.
    """
    if not weighted:
        count = tokenizer.count(text)
        return Counted(count, room, _rest(tokenizer, text, room) if count > room else "")
    parts = weighted_parts(text)
    counts = [tokenizer.count(part) for part in parts]
    before = 0
    for number, (part, count) in enumerate(zip(parts, counts, strict=True)):
        if before + count > room:
            rest = _rest(tokenizer, part, room - before)
            return Counted(sum(counts), room, rest + "".join(parts[number + 1 :]))
        before += count
    return Counted(before, room)


def room_of(max_token_length: int | None) -> int:
    """Return how many tokens of a caption are trained; sd-scripts takes 150 and 225 beside 75."""
    return max_token_length or ROOM


_BRACKETS = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:([+-]?[.\d]+)\)|\)|\]|[^\\()\[\]:]+|:")


def weighted_parts(text: str) -> list[str]:
    r"""Return the parts of a caption that `weighted_captions` tokenizes each on its own.

    Brackets are weights: (word), (word:1.3), [word]; a backslash before one keeps it. Neighbours
    of one weight are one part. BREAK is a word like others.

    Raises:
        ValueError: a weight is no number.
    """
    parts: list[tuple[str, float]] = []
    round_open: list[int] = []
    square_open: list[int] = []

    def weigh(start: int, factor: float) -> None:
        parts[start:] = [(part, weight * factor) for part, weight in parts[start:]]

    for found in _BRACKETS.finditer(text):
        word, weight = found[0], found[1]
        if word.startswith("\\"):
            parts.append((word[1:], 1.0))
        elif word == "(":
            round_open.append(len(parts))
        elif word == "[":
            square_open.append(len(parts))
        elif weight is not None and round_open:
            weigh(round_open.pop(), float(weight))
        elif word == ")" and round_open:
            weigh(round_open.pop(), 1.1)
        elif word == "]" and square_open:
            weigh(square_open.pop(), 1 / 1.1)
        else:
            parts.append((word, 1.0))
    for start in round_open:
        weigh(start, 1.1)
    for start in square_open:
        weigh(start, 1 / 1.1)
    alike = itertools.groupby(parts, key=lambda part: part[1])
    return ["".join(part for part, _ in same) for _, same in alike]


def merges_of(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs in the text of CLIP's vocabulary (bpe_simple_vocab_16e6, or merges.txt).

    Raises:
        ValueError: it is another text.
    """
    lines = text.strip().split("\n")[1 : MERGES + 1]
    pairs = [tuple(line.split()) for line in lines]
    if len(pairs) != MERGES or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"expected {MERGES} pairs, found {len(pairs)} lines")
    return tuple((first, second) for first, second in pairs)


def _words(text: str) -> Iterator[str]:
    import ftfy  # with its tables it takes 20 ms

    clean = " ".join(ftfy.fix_text(text).split()).lower()
    return (found[0] for found in _pattern().finditer(clean))


@functools.cache
def _pattern() -> Any:
    import regex  # knows the letters of all scripts; other commands need not wait for it

    return regex.compile(_WORDS, regex.IGNORECASE)


@functools.cache
def _signs() -> dict[int, str]:
    """Return the letter that stands for each byte in the vocabulary: itself, where it prints."""
    printed = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printed)
    signs = {byte: chr(byte) for byte in printed}
    return signs | {byte: chr(256 + number) for number, byte in enumerate(others)}


def _joined(pieces: Sequence[str], pair: tuple[str, str]) -> Iterator[str]:
    at = 0
    while at < len(pieces):
        if tuple(pieces[at : at + 2]) == pair:
            yield "".join(pair)
            at += 2
        else:
            yield pieces[at]
            at += 1


def _rest(tokenizer: Tokenizer, text: str, room: int) -> str:
    """Return the end of a text that does not fit into `room` tokens.

    A token has no place in the text, which is cleaned before: it is cut where words end.
    """
    ends = [found.end() for found in re.finditer(r"\w+|[^\w\s]", text)]
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        fits = tokenizer.count(text[: ends[middle - 1]]) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[ends[low - 1] :].lstrip() if low else text
