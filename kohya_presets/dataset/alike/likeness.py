"""Which pictures are one picture: the same file, or resized, encoded anew, cropped, mirrored.

The measure is a DCT hash: of a picture shrunk to 32 x 32 greys, the signs of its lowest
frequencies. Near duplicates are found in two steps:

1. All pairs by 64-bit hashes (8 x 8 frequencies). The whole picture is compared with the whole of
   the other, with its middle 90% and with its middle 80%, each as it is and mirrored. At most
   `COARSE` bits differ in a candidate: about one pair of unlike pictures in 250 is one too.
2. Candidates by finer hashes of 120 bits (frequencies up to 12), of 34 cuts of each picture: the
   whole, its middle, its sides and corners. In the two cuts that are most alike, at most `FINE`
   bits differ.

Both limits were chosen on one made set of 2,009 pictures (precision 0.9996 and recall 0.947 there;
on a second one 0.995 and 0.951). `python -m bench.pictures.duplicates` prints what a third one
gives, beside other tools. Two more bits would find 0.6% more, at a precision of 0.99.
Pictures turned by 90°, or far more cropped than by 15%, are not found.
"""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kohya_presets.dataset.alike import dct_hash
from kohya_presets.dataset.picture import Group, Link, Pixels

COARSE = 17  # of 63 bits: the lowest frequency of all is a brightness and is left out
FINE, FINE_BITS = 21, 120
FLAT = 1.5  # greys of standard deviation: below it a picture has no pattern to compare
ROWS = 128  # of the table of all pairs at a time: 25 MB for 20,000 pictures, in each thread
THREADS = min(4, os.cpu_count() or 1)
AT_ONCE = 4096  # candidates

Thumbnails = dct_hash.Thumbnails
Words = dct_hash.Words
_ZOOMS = (0.9, 0.8)  # of step 1


@dataclass(frozen=True, slots=True)
class Near:
    """Two thumbnails that are one picture, by their numbers."""

    one: int
    other: int
    bits: int
    mirrored: bool


def groups(pixels: Sequence[Pixels]) -> tuple[Group, ...]:
    """Return the groups of pictures that are one, exact and near, in the order of their files.

    Pictures that could not be read (with a `fault`) are compared byte for byte only. A group holds
    what is linked by others too: frames of a film may join although its ends are unlike.
    """
    links = list(_exact(pixels))
    seen: set[str] = set()
    firsts: list[int] = []
    for number, found in enumerate(pixels):
        if found.thumbnail and found.sha256 not in seen:
            seen.add(found.sha256)
            firsts.append(number)
    held = b"".join(base64.b64decode(pixels[number].thumbnail) for number in firsts)
    thumbnails = np.frombuffer(held, np.uint8).reshape(-1, dct_hash.SIDE, dct_hash.SIDE)
    for pair in near(thumbnails):
        one, other = firsts[pair.one], firsts[pair.other]
        link = Link(pixels[one].file, pixels[other].file, False, pair.mirrored, pair.bits)
        links.append((one, other, link))
    return _joined(pixels, links)


def near(thumbnails: Thumbnails) -> Iterator[Near]:
    """Yield each pair that is one picture once, the first of the two first."""
    patterned = np.array([n for n, greys in enumerate(thumbnails) if greys.std() >= FLAT], np.intp)
    if len(patterned) < 2:
        return
    compare = _comparison(thumbnails[patterned])
    blocks = [(turned, n) for turned in (0, 1) for n in range(0, len(patterned) - 1, ROWS)]
    told: set[tuple[int, int]] = set()  # a picture may be near as it is and mirrored
    with ThreadPoolExecutor(THREADS) as threads:  # numpy lets go of Python's lock
        for (turned, _), found in zip(blocks, threads.map(compare, blocks), strict=True):
            for one, other, bits in found:
                if (one, other) not in told:
                    told.add((one, other))
                    yield Near(int(patterned[one]), int(patterned[other]), bits, bool(turned))


def _exact(pixels: Sequence[Pixels]) -> Iterator[tuple[int, int, Link]]:
    first: dict[str, int] = {}
    for number, found in enumerate(pixels):
        if found.sha256 and (before := first.setdefault(found.sha256, number)) != number:
            yield before, number, Link(pixels[before].file, found.file, True)


def _joined(pixels: Sequence[Pixels], links: Sequence[tuple[int, int, Link]]) -> tuple[Group, ...]:
    """Return the groups that links make; a group's number is that of its first picture."""
    above = list(range(len(pixels)))

    def top(number: int) -> int:
        while above[number] != number:
            above[number] = number = above[above[number]]
        return number

    for one, other, _ in links:
        low, high = sorted((top(one), top(other)))
        above[high] = low
    members: dict[int, list[int]] = {}
    for number in sorted({n for one, other, _ in links for n in (one, other)}):
        members.setdefault(top(number), []).append(number)
    joining: dict[int, list[Link]] = {}
    for one, _, link in links:
        joining.setdefault(top(one), []).append(link)
    return tuple(
        Group(tuple(pixels[n].file for n in members[first]), tuple(joining[first]))
        for first in sorted(members)
    )


def _comparison(
    thumbnails: Thumbnails,
) -> Callable[[tuple[int, int]], list[tuple[int, int, int]]]:
    """Return what compares `ROWS` pictures, from a number on, with all behind them.

    It takes whether the others are mirrored, and that number; it returns the two numbers and the
    differing bits of each pair that is near.
    """
    whole = dct_hash.hashes(thumbnails)
    middles = [
        dct_hash.packed(dct_hash.signs(thumbnails, (_middle(z), _middle(z)), 8))[:, 0]
        for z in _ZOOMS
    ]
    plain = [whole, *middles]
    others = plain, [dct_hash.mirrored(h) for h in plain]
    cuts = _fine_hashes(thumbnails)

    def compare(block: tuple[int, int]) -> list[tuple[int, int, int]]:
        turned, start = block
        rows = slice(start, start + ROWS)
        wholes, *others_middles = (h[start:] for h in others[turned])
        close = _differing(whole[rows], wholes) <= COARSE
        for middle, other_middle in zip(middles, others_middles, strict=True):
            close |= _differing(whole[rows], other_middle) <= COARSE
            close |= _differing(middle[rows], wholes) <= COARSE
        one, other = np.divmod(np.flatnonzero(close), close.shape[1])
        behind = other > one
        one, other = one[behind] + start, other[behind] + start
        found = []
        for at in range(0, len(one), AT_ONCE):
            some = slice(at, at + AT_ONCE)
            bits = _least(cuts, one[some], other[some], turned)
            near_ones = np.flatnonzero(bits <= FINE)
            found += [(int(one[at + n]), int(other[at + n]), int(bits[n])) for n in near_ones]
        return found

    return compare


def _differing(rows: Words, columns: Words) -> NDArray[np.uint8]:
    return dct_hash.count_bits(rows[:, None] ^ columns[None])


def _middle(length: float) -> dct_hash.Span:
    return (1 - length) / 2, length


@functools.cache
def _cuts() -> tuple[dct_hash.Cut, ...]:
    """Return the cuts of step 2; the first is the whole."""
    cuts: list[dct_hash.Cut] = [(dct_hash.WHOLE, dct_hash.WHOLE)]
    cuts += [(_middle(z), _middle(z)) for z in (0.93, 0.86, 0.8)]  # inside of a border
    for z in (0.93, 0.86, 0.77):  # between the bars of a film
        cuts += [(dct_hash.WHOLE, _middle(z)), (_middle(z), dct_hash.WHOLE)]
    for z in (0.95, 0.9, 0.85):  # sides and corners
        spans = ((0.0, z), _middle(z), (1 - z, z))
        cuts += [(a, b) for a in spans for b in spans if (a, b) != (spans[1], spans[1])]
    return tuple(cuts)


@functools.cache
def _compared() -> tuple[tuple[int, int], ...]:
    """Return which cut of the one is compared with which of the other.

    The whole with each; and a side with the opposite side, as of a picture that was moved.
    """
    cuts = _cuts()
    moved = range(10, len(cuts))
    opposite = [cuts.index((_other_end(cuts[n][0]), _other_end(cuts[n][1]))) for n in moved]
    each = range(1, len(cuts))
    return (
        (0, 0),
        *((0, n) for n in each),
        *((n, 0) for n in each),
        *zip(moved, opposite, strict=True),
    )


def _other_end(span: dct_hash.Span) -> dct_hash.Span:
    start, length = span
    if start == 0:
        return 1 - length, length
    return (0.0, length) if start == 1 - length else span


def _fine_hashes(thumbnails: Thumbnails) -> tuple[Words, Words]:
    """Return the fine hashes of all cuts, as they are and mirrored: n x cuts x 2 words each."""
    cuts = _cuts()
    u = np.arange(12)
    low = (u[:, None] ** 2 + u[None] ** 2 <= 144).reshape(-1)
    low[0] = False
    plain = np.stack(
        [dct_hash.packed(dct_hash.signs(thumbnails, cut, 12)[:, low]) for cut in cuts], 1
    )
    odd = dct_hash.packed(np.broadcast_to(u[None] % 2 == 1, (12, 12)).reshape(1, -1)[:, low])
    swapped = [cuts.index((down, _other_end(right))) for down, right in cuts]
    return plain, plain[:, swapped] ^ odd[0]


def _least(
    cuts: tuple[Words, Words], one: NDArray[np.intp], other: NDArray[np.intp], turned: int
) -> NDArray[np.uint8]:
    """Return the bits that differ between the two cuts that are most alike, for each pair."""
    ours, theirs = cuts[0][one], cuts[turned][other]
    least = np.full(len(one), FINE_BITS, np.uint8)
    for mine, yours in _compared():
        differing = dct_hash.count_bits(ours[:, mine] ^ theirs[:, yours])
        np.minimum(least, differing[:, 0] + differing[:, 1], out=least)
    return least
