"""The random generators that a training draws from: read them, write them, keep them in tensors.

Runs inside sd-scripts: torch, numpy and the standard library only, Python 3.10, torch 2.0.

No pickle: a snapshot is a dict of tensors, as safetensors holds it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

Snapshot = dict[str, Tensor]


def take(sampler: Any = None) -> Snapshot:
    """Return the states of Python's, numpy's, torch's and the device's generators.

    And of the one that a data loader's sampler has, if it has one. Draws nothing. A device is the
    current one of its kind: every process has its own.
    """
    _, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    assert name == "MT19937", name
    found = {
        "python": torch.tensor(words),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*keys.tolist(), position]),
        "numpy_gauss": torch.tensor([has_gauss, cached], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    found |= {kind: device.get_rng_state().cpu() for kind, device in _devices()}
    if (own := getattr(sampler, "generator", None)) is not None:
        found["sampler"] = own.get_state()
    if isinstance(epoch := getattr(sampler, "epoch", None), int):
        found["sampler_epoch"] = torch.tensor(epoch)  # with several processes it counts by itself
    return found


def give(snapshot: Snapshot, sampler: Any = None) -> None:
    """Set the generators to what they were when the snapshot was taken."""
    gauss = snapshot["python_gauss"].tolist()
    random.setstate((3, tuple(snapshot["python"].tolist()), gauss[0] if gauss else None))
    *keys, position = snapshot["numpy"].tolist()
    has_gauss, cached = snapshot["numpy_gauss"].tolist()
    np.random.set_state(
        ("MT19937", np.array(keys, dtype=np.uint32), position, int(has_gauss), cached)
    )
    torch.set_rng_state(snapshot["torch"])
    for kind, device in _devices():
        if kind in snapshot:
            device.set_rng_state(snapshot[kind])
    if "sampler" in snapshot and hasattr(sampler, "generator"):
        # accelerate 0.25 makes it in the first epoch, and seeds each epoch from the one before.
        sampler.generator = sampler.generator or torch.Generator()
        sampler.generator.set_state(snapshot["sampler"])
    if "sampler_epoch" in snapshot and hasattr(sampler, "epoch"):
        sampler.epoch = int(snapshot["sampler_epoch"])


def _devices() -> Iterator[tuple[str, Any]]:
    for kind in ("cuda", "xpu", "mps"):
        device = getattr(torch, kind, None)
        backend = getattr(torch.backends, kind, None) if kind == "mps" else device
        if hasattr(device, "get_rng_state") and backend is not None and backend.is_available():
            yield kind, device
