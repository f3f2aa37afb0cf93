"""The modules of a LoRA file, from its header: which tensors are the halves of which layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kohya_presets.errors import UserError
from kohya_presets.loras import names, weights
from kohya_presets.loras.weights import Header, Tensor

HALVES = (  # what ends the names of a module's two halves, and who writes them so
    (".lora_down.weight", ".lora_up.weight"),  # sd-scripts, LyCORIS' LoCon
    (".lora_A.weight", ".lora_B.weight"),  # PEFT, Diffusers
    (".lora_A.default.weight", ".lora_B.default.weight"),
    (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),  # Diffusers until 0.21
    (".lora.down.weight", ".lora.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
)
MIDDLE = ".lora_mid.weight"  # LoCon with the convolution's kernel between two 1x1
ALPHA = ".alpha"
PRECISIONS = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64"}  # by safetensors' word
_OTHERS = {  # what else a file may change a layer by, which is no product of two matrices
    "hada_w1_a": "LoHa",
    "lokr_w1": "LoKr",
    "lokr_w1_a": "LoKr",
    "oft_blocks": "OFT",
    "oft_diag": "OFT",
    "diff": "full",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
}


@dataclass(frozen=True)
class Module:
    """One layer's change: up (m x r) times down (r x n), times alpha / r.

    `name` is sd-scripts' name for it; the others are names of tensors in the file.
    """

    name: str
    up: str
    down: str
    middle: str | None
    alpha: str | None
    rank: int
    shape: tuple[int, ...]  # of the layer's weight: m, n, and a convolution's kernel


@dataclass(frozen=True)
class Modules:
    """All of a file. `others` counts layers that it changes in another way, by that way."""

    all: tuple[Module, ...]
    others: Mapping[str, int]


def of(header: Header) -> Modules:
    """Return the modules that the file of `header` holds, in the order the model runs through them.

    Raises:
        UserError: there are none, or one lacks a matrix, or its matrices do not fit together.
    """
    found = tuple(sorted(_modules(header), key=lambda module: names.order(module.name)))
    others = Counter(_OTHERS[end] for name in header.tensors if (end := _end(name)) in _OTHERS)
    if not found and others:
        kinds = ", ".join(others)
        raise UserError(
            f"expected a LoRA, but {header.file} has only {kinds}",
            hint="Use a LoRA whose modules are pairs of matrices (lora_down and lora_up).",
        )
    if not found:
        kind = weights.kind(header)
        fault = "has no pair of matrices" if kind == "a LoRA" else f"is {kind}"
        raise UserError(f"expected a LoRA, but {header.file} {fault}")
    return Modules(found, others)


def _modules(header: Header) -> Iterator[Module]:
    for name, tensor in header.tensors.items():
        for down_end, up_end in HALVES:
            if name.endswith(down_end):
                stem = name[: -len(down_end)]
                yield _module(header, stem, name, tensor, stem + up_end)
                break
            if name.endswith(up_end) and name[: -len(up_end)] + down_end not in header.tensors:
                raise UserError(f"{header.file} has no second matrix for {name}", hint=_AGAIN)


_AGAIN = "Download the LoRA again, or train it again."


def _module(header: Header, stem: str, down: str, half: Tensor, up: str) -> Module:
    other = header.tensors.get(up)
    if other is None:
        raise UserError(f"{header.file} has no second matrix for {down}", hint=_AGAIN)
    middle = header.tensors.get(stem + MIDDLE)
    shapes = [half.shape, other.shape, *([middle.shape] if middle else [])]
    rank = half.shape[0] if half.shape else 0
    fits = rank > 0 and all(len(shape) >= 2 for shape in shapes) and other.shape[1] == rank
    if middle:
        fits = fits and middle.shape[:2] == (rank, rank) and half.shape[2:] == (1, 1)
    if not fits or any(size != 1 for size in other.shape[2:]):
        listed = " and ".join(str(shape) for shape in shapes)
        raise UserError(f"{header.file}: the matrices of {stem} do not fit together: {listed}")
    kernel = middle.shape[2:] if middle else half.shape[2:]
    return Module(
        name=names.ours(stem),
        up=up,
        down=down,
        middle=stem + MIDDLE if middle else None,
        alpha=stem + ALPHA if stem + ALPHA in header.tensors else None,
        rank=rank,
        shape=(other.shape[0], half.shape[1], *kernel),
    )


def _end(name: str) -> str:
    return name.removesuffix(".weight").rpartition(".")[2]
