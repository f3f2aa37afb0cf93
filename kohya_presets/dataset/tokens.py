"""Tokens as sd-scripts counts them: CLIP's byte-pair encoding, and where a caption ends.

The trainers use transformers' CLIPTokenizer in Python, with ftfy (all releases require it); the one
of the package `tokenizers` gives other tokens for many captions. Both text encoders of SDXL give a
text the same tokens; only what fills the place after its end is another one. library/train_util.py:
get_input_ids; from v0.10.0 on library/strategy_base.py: _get_input_ids, which cuts at the same
place.

Releases before v0.10.0 require ftfy 6.1.1, later ones 6.3.1; we use the newer. The two differ only
where a text was, or looks, decoded with another encoding than it was written in.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kohya_presets.dataset import weights

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2  # of the vocabulary's file, which has more
ROOM = 75  # tokens of a caption beside start and end, without max_token_length
_SPECIAL = re.compile(f"({re.escape(START)}|{re.escape(END)})")
_LAST = "</w>"  # marks the last piece of a word
# Words, single digits, and runs of other signs; English endings are words of their own. Start and
# end are found here too if cleaning made them: of upper case, or of &lt;
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|"
_WORDS += r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Counted(NamedTuple):
    """How many tokens a caption has, how many are trained, and the text that is cut off.

    `end` is the place in the text where `rest` begins, in characters; None: nothing is cut off.
    """

    tokens: int
    room: int
    rest: str = ""
    end: int | None = None

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
        return [self.numbers[p] for _, word in _words(text) for p in self.pieces(word)]

    def count(self, text: str) -> int:
        """Return how many tokens a text has, without start and end."""
        return sum(len(self.pieces(word)) for _, word in _words(text))

    def end(self, text: str, room: int) -> int:
        """Return the place in a text where its first `room` tokens end, in characters.

        It can be within a word. In text that cleaning changes (see ftfy) it is the nearest place.
        """
        for part, word in _words(text):
            pieces = self.pieces(word)
            if len(pieces) > room:
                size = sum(len(piece.removesuffix(_LAST)) for piece in pieces[:room])
                letters = len(word.encode("utf-8")[:size].decode("utf-8", "ignore"))
                return part.place_of(letters)
            room -= len(pieces)
        return len(text)

    def is_word(self, text: str) -> bool:
        """Return whether a text is one token, a whole word of the vocabulary: see `rank`."""
        return self.rank(text) is not None

    def rank(self, text: str) -> int | None:
        """Return the number of a text that is one token, else None.

        CLIP's vocabulary took in the pairs that its texts had most often first: woman has 2308,
        sks 48136 of 49407. A token with a high number is a word that the model hardly knows.
        """
        ids = self.ids(text)
        return ids[0] if len(ids) == 1 else None

    def pieces(self, word: str) -> tuple[str, ...]:
        """Return the pieces of a word, each a token."""
        if word in (START, END):
            return (word,)
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
    parts = weights.parts(text) if weighted else [weights.whole(text)]
    counts = [tokenizer.count(part.text) for part in parts]
    before = 0
    for part, count in zip(parts, counts, strict=True):
        if before + count > room:
            end = part.place(tokenizer.end(part.text, room - before))
            return Counted(sum(counts), room, text[end:], end)
        before += count
    return Counted(before, room)


def room_of(max_token_length: int | None) -> int:
    """Return how many tokens of a caption are trained; sd-scripts takes 150 and 225 beside 75."""
    return max_token_length or ROOM


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


@dataclass
class _At:
    """Where a word was found: in `clean`, which is what became of `raw`, at `start` of the text."""

    start: int
    raw: str
    clean: str
    word: int = 0

    def place_of(self, letters: int) -> int:
        """Return the place in the text of a word's letter."""
        at, lower = self.word + letters, self.raw.lower()
        if self.clean != lower:
            at = _opposite(self.clean, lower, at)
        if len(lower) != len(self.raw):  # the dotted I of Turkish gets two letters
            at = len([*itertools.takewhile(lambda n: n <= at, _lengths(self.raw))])
        return self.start + at


def _words(text: str) -> Iterator[tuple[_At, str]]:
    """Yield the words of a text, cleaned as CLIP's tokenizer does it, and where each is."""
    import ftfy  # with its tables it takes 20 ms

    start = 0
    for raw in _SPECIAL.split(text):
        special = raw in (START, END)
        at = _At(start, raw, raw if special else ftfy.fix_text(raw).lower())
        for found in _pattern().finditer(at.clean):
            at.word = found.start()
            yield at, found[0]
        start += len(raw)


def _lengths(text: str) -> Iterator[int]:
    """Yield how long the beginning of a text is in lower case, with each letter."""
    return itertools.accumulate(len(letter.lower()) for letter in text)


def _opposite(first: str, second: str, at: int) -> int:
    """Return the place in `second` that a place in `first`, another form of it, has become."""
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    for _, start, end, there, there_end in matcher.get_opcodes():
        if start <= at < end:
            return min(there + at - start, there_end)
    return len(second)


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
