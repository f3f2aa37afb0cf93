"""The DCT hash: of a picture shrunk to 32 x 32 greys, the signs of its lowest frequencies.

The idea is pHash's (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash
Functions). Signs instead of a median make the hash of the mirrored picture a matter of turning the
bits of odd frequencies over.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # of a thumbnail
LEAST = 0.5  # of a sum of 1,024 greys: less is rounding, as in a flat picture

Thumbnails = NDArray[np.uint8]  # n x SIDE x SIDE greys
Words = NDArray[np.uint64]
Span = tuple[float, float]  # where a cut begins, and its length; of the side
Cut = tuple[Span, Span]  # downwards, rightwards
WHOLE: Span = (0.0, 1.0)


def hashes(thumbnails: Thumbnails) -> Words:
    """Return the 64-bit hash of each: bit 8v + u is the sign of frequency u across and v down."""
    found: Words = packed(signs(thumbnails, (WHOLE, WHOLE), 8))[:, 0]
    return found


def mirrored(found: Words) -> Words:
    """Return the hashes that the pictures have when mirrored left to right."""
    odd = np.zeros((1, 8, 8), bool)
    odd[:, :, 1::2] = True
    turned: Words = found ^ packed(odd.reshape(1, 64))[0, 0]
    return turned


def signs(thumbnails: Thumbnails, cut: Cut, count: int) -> NDArray[np.bool_]:
    """Return whether each of the lowest count x count frequencies of a cut is above 0, n x count².

    The frequency 0 both ways, the mean, is never counted.
    """
    down, right = (_frequencies(span, count) for span in cut)
    found = np.empty((len(thumbnails), count * count), bool)
    for start in range(0, len(thumbnails), 1024):  # 4 MB as floats
        some = thumbnails[start : start + 1024].astype(np.float32)
        found[start : start + 1024] = (down @ some @ right.T).reshape(len(some), -1) > LEAST
    found[:, 0] = False
    return found


@functools.cache
def _frequencies(span: Span, count: int) -> NDArray[np.float32]:
    """Return a matrix, count x SIDE: stretch a span to SIDE values and take its DCT-II."""
    start, length = span
    at = (((np.arange(SIDE) + 0.5) / SIDE * length + start) * SIDE - 0.5).clip(0, SIDE - 1)
    left = np.minimum(at.astype(int), SIDE - 2)
    stretch = np.zeros((SIDE, SIDE))
    stretch[np.arange(SIDE), left] = 1 - (at - left)
    stretch[np.arange(SIDE), left + 1] = at - left
    waves = np.cos(np.pi * (2 * np.arange(SIDE) + 1) * np.arange(count)[:, None] / (2 * SIDE))
    return (waves @ stretch).astype(np.float32)


def packed(bits: NDArray[np.bool_]) -> Words:
    """Return rows of up to 64 k bits as k words each, the first bit the lowest."""
    words = -(-bits.shape[1] // 64)
    padded = np.zeros((len(bits), words * 64), bool)
    padded[:, : bits.shape[1]] = bits
    packed = np.packbits(padded, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64)


def count_bits(words: Words) -> NDArray[np.uint8]:
    """Return the number of bits that are set in each word."""
    if hasattr(np, "bitwise_count"):
        counted: NDArray[np.uint8] = np.bitwise_count(words)
        return counted
    halves = words.view(np.uint16).reshape(*words.shape, 4)  # numpy 1
    summed: NDArray[np.uint8] = _bits_of_16()[halves].sum(-1, dtype=np.uint8)
    return summed


@functools.cache
def _bits_of_16() -> NDArray[np.uint8]:
    return np.array([number.bit_count() for number in range(2**16)], np.uint8)
