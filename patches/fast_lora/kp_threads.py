"""How many matrices are worked on at a time, and by how many threads each.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 8  # each holds a weight of up to 52 MB in fp32, and both its stored forms


def workers(device: torch.device) -> int:
    """Return how many weights are worked on at a time: one for each processor, two for a GPU."""
    if device.type != "cpu":
        return 2  # one is read while the other is computed
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(there or 1, MOST)


def each(
    items: Iterable[Item], work: Callable[[Item], Result], device: torch.device
) -> Iterator[Result]:
    """Yield what `work` makes of each item, in their order, several being worked on at once."""
    with ThreadPoolExecutor(workers(device)) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def one_for_each_worker() -> Iterator[None]:
    """Let torch use one thread for each matrix: on a busy machine, several wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
