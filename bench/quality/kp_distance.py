"""How far trainings moved the weights of a model, and how far from each other.

Runs in the trainer's environment: torch and safetensors only.
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file

PARTS = {  # how the names of their tensors begin
    "U-Net": "model.diffusion_model.",
    "text encoder 1": "conditioner.embedders.0.",
    "text encoder 2": "conditioner.embedders.1.",
}
NEVER = ("position_ids", "logit_scale")
Tensors = dict[str, torch.Tensor]


def weights(file: str) -> Tensors:
    """Return what a training can change in a model, in fp32."""
    starts = tuple(PARTS.values())
    return {
        name: tensor.float()
        for name, tensor in load_file(file).items()
        if name.startswith(starts) and not name.endswith(NEVER)
    }


def judged(begin: Tensors, reference: Tensors, own: Tensors) -> dict[str, Any]:
    """Return how far a model moved, and its distance from the reference for how far that moved."""
    told: dict[str, Any] = {}
    for part, start in {"all": "", **PARTS}.items():
        names = [name for name in begin if name.startswith(start)]
        moves = [own[n].double() - begin[n].double() for n in names]
        right = [reference[n].double() - begin[n].double() for n in names]
        length, expected = _norm(moves), _norm(right)
        off = _norm([a - b for a, b in zip(moves, right, strict=True)])
        along = sum(float((a * b).sum()) for a, b in zip(moves, right, strict=True))
        still = sum(int((m == 0).sum()) for m in moves) / sum(m.numel() for m in moves)
        told[part] = {
            "moved": length,
            "distance": off / expected,
            "along": along / expected**2,  # 1: as far as the reference, in its direction
            "still": still,
        }
    return told


def count(tensors: Tensors, start: str) -> int:
    """Return how many weights a part has."""
    return sum(t.numel() for name, t in tensors.items() if name.startswith(start))


def _norm(tensors: list[torch.Tensor]) -> float:
    return sum(float(t.square().sum()) for t in tensors) ** 0.5
