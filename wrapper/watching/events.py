"""The loss of every step, from the event files that TensorBoard reads.

A file is a row of records: length (8 bytes), its checksum (4), the event, its checksum (4). An
event is a message of protocol buffers, of which three fields count: 1, the time, 2, the step, and
5, a summary of values, each with a tag (1) and a number (2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TAGS = (b"loss", b"loss/current")  # of sdxl_train.py, of sdxl_train_network.py
_HEAD, _DOUBLE, _FLOAT = struct.Struct("<QI"), struct.Struct("<d"), struct.Struct("<f")
_LARGEST = 2**20  # bytes of an event that is read; pictures are larger


class Loss(NamedTuple):
    """The loss of one step, or of one of its parts."""

    step: int
    value: float


class Value(NamedTuple):
    """A number that was logged: under which tag, at which step, and when (seconds since 1970)."""

    tag: bytes
    step: int
    value: float
    wall: float


class Losses:
    """The losses that are added to the event files in a folder from now on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = {file: file.stat().st_size for file in self._files()}

    def new(self) -> list[Loss]:
        """Return those added since the last call."""
        return [loss for file in self._files() for loss in self._of(file)]

    def _files(self) -> list[Path]:
        return sorted(self._folder.rglob("events.out.tfevents.*"))

    def _of(self, file: Path) -> list[Loss]:
        found: list[Loss] = []
        try:
            with file.open("rb") as opened:
                opened.seek(self._read.get(file, 0))
                data = opened.read()
        except OSError:
            return []
        end = 0
        for event, at in records(data):
            end = at
            found += [Loss(v.step, v.value) for v in values(event) if v.tag in TAGS]
        self._read[file] = self._read.get(file, 0) + end
        return found


def records(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each whole event of a file, and where it ends; of a large one, nothing but its end.

    A last one that is still being written, or was cut off, is left out.
    """
    at = 0
    while at + _HEAD.size <= len(data):
        size = _HEAD.unpack_from(data, at)[0]
        end = at + _HEAD.size + size + 4
        if end > len(data):
            return
        yield (data[at + _HEAD.size : end - 4] if size <= _LARGEST else b""), end
        at = end


def values(event: bytes) -> Iterator[Value]:
    """Yield the numbers of an event; what cannot be read yields none."""
    step, wall, summaries = 0, 0.0, []
    for number, value in _fields(event):
        if number == 1 and isinstance(value, bytes) and len(value) == 8:
            wall = _DOUBLE.unpack(value)[0]
        elif number == 2 and isinstance(value, int):
            step = value
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for value in (v for summary in summaries for number, v in _fields(summary) if number == 1):
        found = dict(_fields(value)) if isinstance(value, bytes) else {}
        tag, simple = found.get(1), found.get(2)
        if isinstance(tag, bytes) and isinstance(simple, bytes) and len(simple) == 4:
            yield Value(tag, step, _FLOAT.unpack(simple)[0], wall)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field; what cannot be read ends it."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            return
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            break
    return value, at
