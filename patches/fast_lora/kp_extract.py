"""Extract a LoRA from two SDXL checkpoints the fast way; what the patch's inserted calls do.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

Modules, keys, alphas and metadata are those of networks/extract_lora_from_models.py (read in
v0.7.0 to v0.11.1). Without --min_diff, modules whose weights did not change are left out, each by
itself; with it, both text encoders are left out or neither, as the stock script does. What that
does for other models than SDXL it still does.
"""

from __future__ import annotations

import argparse
import inspect
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import kp_lora_file, kp_lowrank, kp_report, kp_threads
from .kp_difference import Pair
from .kp_lowrank import LowRank, NotCertifiedError
from .kp_sdxl_modules import Target
from .kp_tensors import UnusableError

# What is not given is not done; the stock script is told what it takes without.
ONLY_IF_GIVEN = {"clamp_quantile": 0.99, "min_diff": 0.01}
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}  # of --save_precision; else fp32

Script = Mapping[str, Any]  # the names of networks/extract_lora_from_models.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --round_base, let --dim take several ranks, and tell what is given from what is not."""
    parser.add_argument(
        "--round_base",
        action="store_true",
        help="round the base to the tuned model's format before subtracting it / "
        "差分を取る前にベースモデルを学習済みモデルの精度に丸める",
    )
    for action in parser._actions:
        if action.dest == "dim":
            action.nargs = "+"
        elif action.dest in ONLY_IF_GIVEN:
            action.default = None


def extract(args: argparse.Namespace, script: Script) -> bool:
    """Do what `args` ask for; return False, and `args` as they were, where the stock script has to.

    Exits with a message, and without a file, where a checkpoint cannot be used.
    """
    dims = args.dim if isinstance(args.dim, list) else [args.dim]
    if len(dims) == 1:
        args.dim = dims[0]
    if args.sdxl and _is_stock(script) and _all_safetensors(args):
        try:
            _extract(args, dims, script)
        except (UnusableError, NotCertifiedError, OSError) as error:
            raise SystemExit(f"nothing was extracted: {error}") from None
        return True
    if len(dims) > 1:
        raise SystemExit("several ranks in one pass: only with --sdxl and safetensors files")
    if getattr(args, "round_base", False):
        raise SystemExit("--round_base works only with --sdxl and safetensors files")
    for option, value in ONLY_IF_GIVEN.items():
        if getattr(args, option, value) is None:
            setattr(args, option, value)
    return False


def _all_safetensors(args: argparse.Namespace) -> bool:
    files = (args.model_org, args.model_tuned, args.save_to)
    return all(str(file).lower().endswith(".safetensors") for file in files)


def _is_stock(script: Script) -> bool:
    return {"svd", "tqdm", "sai_model_spec", "sdxl_model_util"} <= script.keys()


@dataclass(frozen=True)
class Ranks:
    """Of the matrices: `linear`, and `convolution` for kernels larger than 1x1."""

    linear: int
    convolution: int | None

    def of(self, kernel: Sequence[int]) -> int:
        """Return the rank for a kernel; an empty one is a Linear's."""
        pointwise = tuple(kernel) in ((), (1, 1))
        return self.linear if pointwise or self.convolution is None else self.convolution


@dataclass(frozen=True)
class Extracted:
    """One module: its matrices, its convolution's kernel if it is one, and its largest change."""

    low_rank: LowRank
    kernel: tuple[int, ...]
    largest: float


def _extract(args: argparse.Namespace, dims: Sequence[int], script: Script) -> None:
    if min(*dims, args.conv_dim or 1) < 1:
        raise SystemExit(f"expected ranks of 1 or more, found {dims} and {args.conv_dim}")
    if getattr(args, "load_precision", None):
        print("--load_precision is not needed: stored weights are subtracted in fp32")
    started = time.monotonic()
    ranks = Ranks(max(dims), args.conv_dim)
    round_base = bool(getattr(args, "round_base", False))
    pair = Pair(
        Path(args.model_org),
        Path(args.model_tuned),
        convolutions=bool(args.conv_dim),
        round_base=round_base,
    )
    device = torch.device(args.device or "cpu")
    min_diff = getattr(args, "min_diff", None)
    modules: dict[str, Extracted] = {}
    count = sum(len(target.modules) for target in pair.targets)
    with closing(pair), script["tqdm"](total=count) as bar, kp_threads.one_for_each_worker():
        work = partial(
            _modules,
            pair=pair,
            ranks=ranks,
            device=device,
            dtype=_dtype(args),
            unchanged_too=min_diff is not None,
        )
        results = kp_threads.each(pair.targets, work, device)
        for target, found in zip(pair.targets, results, strict=True):
            modules.update(found)
            bar.update(len(target.modules))
    modules = _gated(modules, min_diff)
    if not any(module.largest for module in modules.values()):
        rounded = " rounded to its format" if round_base else ""
        raise UnusableError(f"{args.model_tuned} has the same weights as {args.model_org}{rounded}")
    for dim in dims:
        file = Path(args.save_to)
        file = file if dim == dims[0] else file.with_name(f"{file.stem}-dim{dim}{file.suffix}")
        cut = {name: _cut(module, Ranks(dim, args.conv_dim)) for name, module in modules.items()}
        kp_lora_file.save(file, _tensors(cut, args), _metadata(args, dim, script, file))
        low_ranks = {name: module.low_rank for name, module in cut.items()}
        print(f"{file}\n{kp_report.of(low_ranks, count, time.monotonic() - started)}", flush=True)
    if found_rounding := pair.rounding():
        print(kp_report.rounding(found_rounding, left_out=round_base), flush=True)


def _modules(
    target: Target,
    pair: Pair,
    ranks: Ranks,
    device: torch.device,
    dtype: torch.dtype,
    unchanged_too: bool,
) -> dict[str, Extracted]:
    difference = pair.difference(target.key)
    if difference is None and not unchanged_too:
        return {}
    if difference is None:
        difference = torch.zeros(pair.shape(target.key))
    kernel = tuple(difference.shape[2:])
    found = {}
    for name, part in zip(target.modules, difference.chunk(len(target.modules)), strict=True):
        matrix = part.flatten(1).to(device)
        try:
            made = kp_lowrank.truncate(matrix, ranks.of(kernel), seed=zlib.crc32(name.encode()))
        except ValueError as error:
            raise UnusableError(f"{target.key}: {error}") from None
        if made.norm or unchanged_too:
            largest = float(torch.linalg.vector_norm(matrix, float("inf")))
            found[name] = Extracted(_kept(made, dtype), kernel, largest)
    return found


def _kept(made: LowRank, dtype: torch.dtype) -> LowRank:
    up, down = (factor.to("cpu", dtype, copy=True) for factor in (made.up, made.down))
    return replace(made, up=up.contiguous(), down=down.contiguous(), values=made.values.cpu())


def _cut(module: Extracted, ranks: Ranks) -> Extracted:
    return replace(module, low_rank=module.low_rank.cut(ranks.of(module.kernel)))


def _dtype(args: argparse.Namespace) -> torch.dtype:
    if _clamped(args) is not None:
        return torch.float32  # until it is clamped
    return DTYPES.get(args.save_precision, torch.float32)


def _clamped(args: argparse.Namespace) -> float | None:
    quantile: float | None = getattr(args, "clamp_quantile", None)
    return None if quantile is None or quantile >= 1 else quantile


def _gated(modules: dict[str, Extracted], min_diff: float | None) -> dict[str, Extracted]:
    """Return `modules`; where --min_diff is given, no text encoders unless one moved by more."""
    if min_diff is None:
        return modules
    texts = {name for name in modules if not name.startswith("lora_unet_")}
    if not texts or max(modules[name].largest for name in texts) > min_diff:
        return modules
    print("Text encoder is same. Extract U-Net only.")  # the stock script's words: others look
    return {name: module for name, module in modules.items() if name not in texts}


def _tensors(modules: Mapping[str, Extracted], args: argparse.Namespace) -> dict[str, Tensor]:
    dtype = DTYPES.get(args.save_precision, torch.float32)
    tensors = {}
    for name, module in modules.items():
        up, down = module.low_rank.up, module.low_rank.down
        if (quantile := _clamped(args)) is not None:
            up, down = clamp(up, down, quantile)
        if module.kernel:
            up = up[:, :, None, None]
            down = down.reshape(len(down), -1, *module.kernel)
        tensors[f"{name}.lora_up.weight"] = up.to(dtype).contiguous()
        tensors[f"{name}.lora_down.weight"] = down.to(dtype).contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(len(down), dtype=dtype)
    return tensors


def clamp(up: Tensor, down: Tensor, quantile: float) -> tuple[Tensor, Tensor]:
    """Return both with what is beyond that quantile of all their numbers cut off, as stock does.

    The quantile as torch.quantile's, linear between neighbours, without its limit of 16 million.
    """
    everything = torch.cat([up.flatten(), down.flatten()])
    at = quantile * (len(everything) - 1)
    below, above = (
        float(torch.kthvalue(everything, min(int(at) + step, len(everything))).values)
        for step in (1, 2)
    )
    limit = below + (above - below) * (at - int(at))
    return up.clamp(-limit, limit), down.clamp(-limit, limit)


def _metadata(args: argparse.Namespace, dim: int, script: Script, file: Path) -> dict[str, str]:
    v_parameterization = args.v2 if args.v_parameterization is None else args.v_parameterization
    convolution = {}
    if args.conv_dim is not None:
        convolution = {"conv_dim": str(args.conv_dim), "conv_alpha": str(float(args.conv_dim))}
    alpha = str(dim) if "args" in inspect.signature(script["svd"]).parameters else str(float(dim))
    metadata = {
        "ss_v2": str(args.v2),
        "ss_base_model_version": script["sdxl_model_util"].MODEL_VERSION_SDXL_BASE_V1_0,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(dim),
        "ss_network_alpha": alpha,  # v0.7.0 writes it whole
        "ss_network_args": json.dumps(convolution),
    }
    if not args.no_metadata:
        build = script["sai_model_spec"].build_metadata
        about = (None, args.v2, v_parameterization, args.sdxl, True, False, time.time())
        metadata.update(build(*about, title=file.stem))
    return metadata
