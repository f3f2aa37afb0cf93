"""Read a safetensors file a tensor at a time, into memory that is used again.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

Mapping the file would be shorter, but its pages then count as ours: 13 GB for two SDXL models.
The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

HEADER_LIMIT = 100_000_000  # bytes; the format's own
PIECE = 2**20  # numbers; few enough to stay in a cache until they are used
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    **{
        name: getattr(torch, dtype)
        for name, dtype in (("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2"))
        if hasattr(torch, dtype)  # from torch 2.1
    },
}


class UnusableError(ValueError):
    """A file is not what it has to be; says which tensor and why."""


@dataclass(frozen=True)
class Located:
    """Where a tensor lies: `start` and `size` in bytes of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def entries(file: Path) -> dict[str, Located]:
    """Return where each tensor of a file lies, in the order they lie there.

    Raises:
        UnusableError: it is no safetensors file, or ends before a tensor does.
    """
    length = file.stat().st_size
    with file.open("rb") as opened:
        header_size = int.from_bytes(opened.read(8), "little")
        if not 2 <= header_size <= min(HEADER_LIMIT, length - 8):
            raise UnusableError(f"{file} is no safetensors file")
        try:
            header = json.loads(opened.read(header_size))
        except ValueError:
            raise UnusableError(f"{file} is no safetensors file") from None
    found = {}
    header.pop("__metadata__", None)
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = (offset + 8 + header_size for offset in entry["data_offsets"])
        if end > length:
            raise UnusableError(f"{file} is cut short: {name} would end at byte {end} of {length}")
        found[name] = Located(entry["dtype"], tuple(entry["shape"]), start, end - start)
    return found


class Reader:
    """A file open for one thread, read in pieces of at most `PIECE` numbers."""

    def __init__(self, file: Path) -> None:
        self._file: BinaryIO = file.open("rb", buffering=0)
        self._memory = bytearray(8 * PIECE)

    def pieces(self, name: str, entry: Located) -> Iterator[Tensor]:
        """Yield a tensor as it is stored, flat, a piece at a time; the next overwrites the last.

        Raises:
            UnusableError: its dtype is unknown, or the file ends within it.
        """
        if entry.dtype not in DTYPES:
            known = ", ".join(DTYPES)
            raise UnusableError(f"{name} is stored as {entry.dtype}, expected one of {known}")
        dtype, numbers = DTYPES[entry.dtype], math.prod(entry.shape)
        width = entry.size // max(numbers, 1)
        for at in range(0, numbers, PIECE):
            count = min(PIECE, numbers - at)
            self._fill(name, entry.start + at * width, count * width)
            yield torch.frombuffer(self._memory, dtype=dtype, count=count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _fill(self, name: str, start: int, size: int) -> None:
        part = memoryview(self._memory)[:size]
        self._file.seek(start)
        while part:
            count = self._file.readinto(part)  # type: ignore[attr-defined]
            if not count:
                raise UnusableError(f"{self._file.name} ends within {name}")
            part = part[count:]
