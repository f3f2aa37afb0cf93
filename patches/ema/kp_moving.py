"""Moving averages towards weights, whatever dtype these have and wherever they are.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]  # an average, and the weights it is of

STAGING = 16 * 2**20  # weights on their way from one dtype or device to another at one time
IN_CACHE = 2**19  # weights on a CPU whose copies in fp32 are still in its cache for the next pass
THREADS = 8  # enough for a CPU to wait for nothing but its memory


def lerp(pairs: Sequence[Pair], weight: float) -> None:
    """Move averages towards weights of any dtype that are beside them."""
    if alike := [(a, w) for a, w in pairs if a.dtype == w.dtype]:
        averages, weights = zip(*alike, strict=True)
        torch._foreach_lerp_(averages, weights, weight)
    others = [(a, w) for a, w in pairs if a.dtype != w.dtype]
    on_cpu = bool(others) and others[0][0].device.type == "cpu"
    shares = iter(list(_chunks(others, IN_CACHE if on_cpu else STAGING)))  # threads may share it
    if not on_cpu or torch.get_num_threads() == 1:
        _lerp_in_fp32(shares, weight)
        return
    # Not by torch's own threads: they would meet after each pass over what a cache holds, and on a
    # busy machine, as one that loads images is, wait ten times as long as they work.
    count = min(THREADS, torch.get_num_threads())
    for done in [_pool(count).submit(_lerp_in_fp32, shares, weight) for _ in range(count)]:
        done.result()


class Mover(threading.Thread):
    """Moves averages on the CPU towards weights on a GPU, through two pinned buffers."""

    def __init__(self, pairs: Sequence[Pair], weight: float) -> None:
        super().__init__(name="kp_average", daemon=True)
        self._chunks, self._weight = list(_chunks(pairs, STAGING)), weight
        self._error: BaseException | None = None
        device = pairs[0][1].device
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
        self.start()

    def finish(self) -> None:
        self.join()
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        try:
            with (
                torch.no_grad(),
                torch.cuda.stream(self._stream) if self._on_gpu else nullcontext(),
            ):
                self._move()
        except BaseException as error:  # told to who waits for us
            self._error = error

    def _move(self) -> None:
        arriving = self._fetch(0)
        for number, chunk in enumerate(self._chunks):
            weights, arrived = arriving
            if number + 1 < len(self._chunks):
                arriving = self._fetch(number + 1)
            if arrived is not None:
                arrived.synchronize()
            beside = [(average, w) for (average, _), w in zip(chunk, weights, strict=True)]
            lerp(beside, self._weight)

    def _fetch(self, number: int) -> tuple[list[Tensor], torch.cuda.Event | None]:
        """Begin to copy a chunk's weights into one of the buffers."""
        weights = [w for _, w in self._chunks[number]]
        into = _views(_buffer(weights[0].dtype, number % 2, pinned=self._on_gpu), weights)
        for here, weight in zip(into, weights, strict=True):
            here.copy_(weight, non_blocking=True)
        return into, self._stream.record_event() if self._on_gpu else None


@torch.no_grad()
def _lerp_in_fp32(shares: Iterator[Sequence[Pair]], weight: float) -> None:
    # One buffer for all: the system gives and takes back each as large a tensor, in as much time.
    buffer = torch.empty(0)
    for share in shares:
        averages, weights = zip(*share, strict=True)
        total = sum(w.numel() for w in weights)
        if total > buffer.numel():
            buffer = torch.empty(total, device=averages[0].device)
        exact = _views(buffer, weights)
        if hasattr(torch, "_foreach_copy_"):  # from torch 2.1
            torch._foreach_copy_(exact, weights)
        else:
            for one, stored in zip(exact, weights, strict=True):
                one.copy_(stored)
        torch._foreach_lerp_(averages, exact, weight)


@functools.cache
def _pool(count: int) -> ThreadPoolExecutor:
    """Return threads for which torch works alone, without sharing an operation among its own."""
    threads, together = torch.get_num_threads(), threading.Barrier(count + 1, timeout=60)

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # or the first operation would set the number of all again
        together.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="kp_average")
    for _ in range(count):
        pool.submit(alone)
    together.wait()
    # Each thread has its own number (where OpenMP is), and those that begin have the last one set.
    torch.set_num_threads(threads)
    return pool


def _chunks(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    """Yield the pairs in lists of one dtype and `size` weights at most; larger ones in parts."""
    chunk: list[Pair] = []
    total = 0
    for pair in (part for whole in pairs for part in _parts(whole, size)):
        count, dtype = pair[1].numel(), pair[1].dtype
        if chunk and (total + count > size or dtype != chunk[0][1].dtype):
            yield chunk
            chunk, total = [], 0
        chunk.append(pair)
        total += count
    if chunk:
        yield chunk


def _parts(pair: Pair, size: int) -> Iterable[Pair]:
    average, weight = pair
    if weight.numel() <= size:
        return (pair,)
    if average.is_contiguous() and weight.is_contiguous():
        average, weight = average.view(-1), weight.view(-1)
    rows = max(1, size * len(weight) // weight.numel())
    return zip(average.split(rows), weight.split(rows), strict=True)


@functools.cache
def _buffer(dtype: torch.dtype, number: int, *, pinned: bool) -> Tensor:
    return torch.empty(STAGING, dtype=dtype, pin_memory=pinned)


def _views(buffer: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Return parts of a flat buffer that are shaped like these tensors."""
    parts = buffer[: sum(t.numel() for t in like)].split([t.numel() for t in like])
    return [
        part if t.dim() == 1 else part.view(t.shape) for part, t in zip(parts, like, strict=True)
    ]
