"""Say what each rank would keep of what fine-tuning changed, in one pass over two checkpoints.

    python kp_rank.py --base FILE --tuned FILE --out FILE.json

Of each module's change all squared singular values are computed, which are the eigenvalues of its
Gram matrix (the smaller side's): their sum is the squared norm, that of the r largest is what the
best matrix of rank r keeps of it (Eckart and Young, 1936). Needs torch and safetensors,
and the mathematics of the patch fast-lora: the folder that holds `patches` is on PYTHONPATH.

In fp32 what is kept is off by up to 1e-7 of the whole (measured on flat and on steep spectra).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import kp_detour
import torch

from patches.fast_lora import kp_lowrank, kp_threads
from patches.fast_lora.kp_difference import Pair
from patches.fast_lora.kp_products import lower_gram
from patches.fast_lora.kp_tensors import UnusableError

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CHECKED = 4  # modules, those that changed most: extracting high and resizing against directly
HIGH, LOW = 512, 16  # the guide's
UNUSABLE = 3  # exit code: a checkpoint is not what it has to be, said in the last line


def retained(matrix: torch.Tensor, ranks: Sequence[int] = RANKS) -> tuple[float, list[float]]:
    """Return the norm of a matrix (m x n, fp32), and what part of its square each rank keeps.

    Raises:
        ValueError: it holds something that is not finite.
    """
    norm = kp_lowrank.norm_of(matrix)
    if not math.isfinite(norm):
        raise ValueError("expected finite numbers, found inf or nan")
    if norm == 0:
        return 0.0, [1.0] * len(ranks)
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    scaled = tall * (math.sqrt(tall.shape[1]) / norm)
    values = torch.linalg.eigvalsh(lower_gram(scaled.T)).flip(0).clamp(min=0).double()
    kept = (values.cumsum(0) / values.sum()).tolist()
    return norm, [kept[min(rank, len(kept)) - 1] for rank in ranks]


def measure(base: Path, tuned: Path, *, convolutions: bool, round_base: bool) -> dict[str, Any]:
    """Return what each rank keeps of each module, and how far the guide's two ways are apart."""
    pair = Pair(base, tuned, convolutions=convolutions, round_base=round_base)
    found: list[dict[str, Any]] = []
    try:
        with kp_threads.one_for_each_worker():
            started, targets = time.monotonic(), pair.targets
            results = kp_threads.each(targets, partial(_measured, pair), torch.device("cpu"))
            for count, modules in enumerate(results, start=1):
                found += modules
                _tell(count, len(targets), time.monotonic() - started)
            changed = sorted(found, key=lambda module: module["norm"], reverse=True)[:CHECKED]
            detours = [
                {"name": module["name"], **kp_detour.check(_matrix(pair, module), HIGH, LOW)}
                for module in changed
                if module["norm"]
            ]
    finally:
        pair.close()
    detour = {"high": HIGH, "low": LOW, "quantile": kp_detour.QUANTILE, "modules": detours}
    rounding = pair.rounding()
    return {
        "ranks": RANKS,
        "modules": found,
        "detour": detour,
        "rounding": {**asdict(rounding), "left_out": round_base} if rounding else None,
    }


def _measured(pair: Any, target: Any) -> list[dict[str, Any]]:
    found = []
    difference = pair.difference(target.key)
    shape = pair.shape(target.key)
    rows = shape[0] // len(target.modules)
    for index, name in enumerate(target.modules):
        norm, kept = 0.0, [1.0] * len(RANKS)
        if difference is not None:
            try:
                norm, kept = retained(difference[index * rows : (index + 1) * rows].flatten(1))
            except ValueError as error:
                raise UnusableError(f"{target.key}: {error}") from None
        found.append({"name": name, "shape": [rows, *shape[1:]], "norm": norm, "retained": kept})
    return found


def _matrix(pair: Any, module: dict[str, Any]) -> torch.Tensor:
    target = next(target for target in pair.targets if module["name"] in target.modules)
    part = target.modules.index(module["name"])
    matrix: torch.Tensor = (
        pair.difference(target.key).chunk(len(target.modules))[part].flatten(1).clone()
    )
    return matrix


def _tell(done: int, total: int, seconds: float) -> None:
    """Print a bar as tqdm does, which is what the reader of this output knows."""
    rate = done / max(seconds, 1e-9)
    spent, left = (f"{int(s) // 60:02}:{int(s) % 60:02}" for s in (seconds, (total - done) / rate))
    print(f"rank: {done}/{total} [{spent}<{left}, {rate:.2f}it/s]", flush=True)


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser()
    for name in ("base", "tuned", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for flag in ("convolutions", "round_base"):
        parser.add_argument(f"--{flag}", action="store_true")
    args = parser.parse_args()
    try:
        found = measure(
            args.base, args.tuned, convolutions=args.convolutions, round_base=args.round_base
        )
    except (UnusableError, OSError) as error:
        print(error)
        raise SystemExit(UNUSABLE) from None
    args.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
