"""Resize a LoRA without its full matrices; what the patch's inserted call does.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

Everything of networks/resize_lora.py stays (read in v0.7.0 to v0.11.1): how it finds pairs, picks
a dynamic rank, reports, and what it writes. Only the product of a pair and its decomposition are
replaced, by names that all releases have; and what is written is written whole or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import kp_factors, kp_threads
from .kp_factors import Decomposed

# Names of the two halves of a module: sd-scripts', PEFT's, ControlLoRA's.
FORMATS = (("lora_down", "lora_up"), ("lora_A", "lora_B"), ("down", "up"))


@dataclass(frozen=True)
class Product:
    """Two matrices, up (m x R) and down (R x n), not multiplied; `kernel` of a convolution."""

    up: Tensor
    down: Tensor
    kernel: tuple[int, ...]
    source: int  # identity of the tensor that `down` was


def replace(script: MutableMapping[str, Any], args: argparse.Namespace) -> None:
    """Replace the slow functions among the names of networks/resize_lora.py."""
    if "rank_resize" not in script:  # a script of another make, such as a stand-in
        return
    every_value = bool(args.dynamic_method or args.verbose)  # else the first ones are enough
    ahead = _Ahead(args, every_value)
    extract = _extracting(script, ahead)
    script.update(
        resize_lora_model=ahead.of(script["resize_lora_model"]),
        merge_linear=_merge,
        merge_conv=_merge,
        extract_linear=extract,
        extract_conv=extract,
        load_state_dict=_checked(script["load_state_dict"]),
        save_to_file=_whole(script["save_to_file"]),
    )


def _merge(lora_down: Tensor, lora_up: Tensor, device: str | torch.device | None) -> Product:
    up, down = (factor.to(device).flatten(1) for factor in (lora_up, lora_down))
    return Product(up, down, tuple(lora_down.shape[2:]), id(lora_down))


class _Ahead:
    """Decompositions made before the script comes to them, on all processors at once."""

    def __init__(self, args: argparse.Namespace, every_value: bool) -> None:
        self._device = torch.device(args.device or "cpu")
        self._every_value = every_value
        self._linear: int = args.new_rank
        self._conv: int = getattr(args, "new_conv_rank", None) or args.new_rank
        self._jobs: dict[int, Future[Decomposed]] = {}  # by the identity of the down weight

    def of(self, resize: Callable[..., Any]) -> Callable[..., Any]:
        def resize_lora_model(lora_sd: dict[str, Any], *args: Any) -> Any:
            """Return what the script's own does."""
            workers = ThreadPoolExecutor(kp_threads.workers(self._device))
            with workers, kp_threads.one_for_each_worker():
                for _, down, up in _pairs(lora_sd):
                    product = _merge(down, up, self._device)
                    rank = self._conv if product.kernel else self._linear
                    self._jobs[id(down)] = workers.submit(self._decompose, product, rank)
                return resize(lora_sd, *args)

        return resize_lora_model

    def decompose(self, product: Product, rank: int) -> Decomposed:
        """Return the decomposition, made before or now."""
        job = self._jobs.pop(product.source, None)
        return job.result() if job else self._decompose(product, rank)

    def _decompose(self, product: Product, rank: int) -> Decomposed:
        wanted = None if self._every_value else rank
        return kp_factors.decompose(product.up, product.down, wanted)


def _pairs(lora_sd: dict[str, Any]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield (down's name, down, up) of the modules; which are resized, the script itself says."""
    for key, down in lora_sd.items():
        for down_name, up_name in FORMATS:
            parts = key.split(".")
            if down_name in parts[-2:]:
                at = len(parts) - 1 - parts[::-1].index(down_name)
                up = lora_sd.get(".".join((*parts[:at], up_name, *parts[at + 1 :])))
                if up is not None:
                    yield key, down, up


def _extracting(script: MutableMapping[str, Any], ahead: _Ahead) -> Callable[..., Any]:
    def extract(
        weight: Product,
        lora_rank: int,
        dynamic_method: str | None,
        dynamic_param: float | None,
        device: str | None,
        scale: float = 1,
        *_: Any,
    ) -> dict[str, Any]:
        """Return what the script's own extract_linear and extract_conv do."""
        shape = (weight.up.shape[0], weight.down.shape[1])
        found = ahead.decompose(weight, lora_rank)
        values = found.values.new_zeros(min(shape))  # those that a product of that rank lacks are 0
        values[: len(found.values)] = found.values
        chosen: dict[str, Any] = script["rank_resize"](
            values, lora_rank, dynamic_method, dynamic_param, scale
        )
        rank = min(chosen["new_rank"], *shape)
        up, down = values.new_zeros(shape[0], rank), values.new_zeros(rank, shape[1])
        there = min(rank, len(found.values))
        up[:, :there] = found.left[:, :there] * found.values[:there]
        down[:there] = found.right[:there]
        if weight.kernel:
            up = up[:, :, None, None]
            down = down.reshape(rank, -1, *weight.kernel)
        chosen["lora_up"], chosen["lora_down"] = up.cpu(), down.cpu()
        return chosen

    return extract


def _checked(load: Callable[..., Any]) -> Callable[..., Any]:
    def load_state_dict(file_name: str, dtype: torch.dtype) -> Any:
        """Return what the script's own does, once it is known to be finite and to fit."""
        tensors, metadata = load(file_name, dtype)
        for name, tensor in tensors.items():
            if isinstance(tensor, Tensor) and not bool(torch.isfinite(tensor).all()):
                raise SystemExit(f"nothing was resized: {name} holds inf or nan")
        for name, down, up in _pairs(tensors):
            if up.shape[1] != down.shape[0]:
                found = f"{tuple(down.shape)}, and what it is multiplied with {tuple(up.shape)}"
                raise SystemExit(f"nothing was resized: {name} is {found}; their ranks differ")
        return tensors, metadata

    return load_state_dict


def _whole(save: Callable[..., None]) -> Callable[..., None]:
    def save_to_file(file_name: str, *args: Any) -> None:
        """Write beside and rename; the name's end tells the script which format is wanted."""
        file = Path(file_name)
        beside = file.with_name(f".part-{file.name}")
        try:
            save(str(beside), *args)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)

    return save_to_file
