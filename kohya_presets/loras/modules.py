"""The modules of a LoRA file, from its header: which tensors belong to which layer."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kohya_presets.errors import UserError
from kohya_presets.loras import names, weights
from kohya_presets.loras.weights import Header, Tensor
from kohya_presets.problems import plural

# Endings of the names of a module's first matrix. Its second is called "up" or "B" in place of
# "down" and "A". PEFT writes the name of the adapter ("default") after the letter.
_FIRST = re.compile(
    r"(?:\.lora_down\.weight"  # sd-scripts, LyCORIS' LoCon, OneTrainer, ComfyUI
    r"|\.lora_A(?:\.[^.]+)?\.weight|\.lora_A"  # PEFT, Diffusers
    r"|\.lora_linear_layer\.down\.weight|[._]lora\.down\.weight)\Z"  # Diffusers until 0.21
)
_SECOND = re.compile(_FIRST.pattern.replace("down", "up").replace("lora_A", "lora_B"))
MIDDLE = ".lora_mid.weight"  # LoCon with the convolution's kernel between two 1x1
ALPHA = ".alpha"
PRECISIONS = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64"}  # by safetensors' word
_OTHERS = {  # other kinds of change to a layer, which are not a product of two matrices
    "LoHa": r"hada_w1_a",
    "LoKr": r"lokr_w1(?:_a)?",
    "GLoRA": r"a1\.weight",
    "OFT": r"oft_(?:blocks|diag)",
    "full": r"diff(?:_b)?",
    "norm layers": r"[wb]_norm",
    "DoRA": r"dora_scale(?:\.weight)?|lora_magnitude_vector(?:\.[^.]+)?(?:\.weight)?",
}
_OTHER = re.compile(
    r"(.+)\.(?:" + "|".join(f"({ends})" for ends in _OTHERS.values()) + ")", re.DOTALL
)
_ONE_ENCODER = (768, 1024)  # widths of the context of Stable Diffusion 1 and 2


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

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all its tensors."""
        return tuple(filter(None, (self.up, self.down, self.middle, self.alpha)))


@dataclass(frozen=True)
class Left:
    """The tensors that belong to no module: what they do is not known here."""

    tensors: tuple[str, ...]
    share: float  # of all numbers in the file

    def __bool__(self) -> bool:
        return bool(self.tensors)

    def __str__(self) -> str:
        count = plural(len(self.tensors), "tensor")
        more = ", …" if len(self.tensors) > 1 else ""
        return f"{count} ({self.share:.2%} of the numbers): {self.tensors[0]}{more}"


@dataclass(frozen=True)
class Modules:
    """All modules of a file. `others` counts layers that it changes in another way, by kind."""

    all: tuple[Module, ...]
    others: Mapping[str, int]
    left: Left


def of(header: Header) -> Modules:
    """Return the modules that the file of `header` holds, in the order the model runs through them.

    Raises:
        UserError: there are none, or one lacks a matrix, or its matrices do not fit together.
    """
    by_name: dict[str, Module] = {}
    for module in _of_one_encoder(tuple(_modules(header))):
        by_name.setdefault(module.name, module)  # a second one for the layer is left over
    found = tuple(sorted(by_name.values(), key=lambda module: names.order(module.name)))
    others = _others(header)
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
    return Modules(found, others, left(header, found))


def left(header: Header, read: Sequence[Module]) -> Left:
    """Return the tensors of a file that belong to none of the modules `read`."""
    used = {name for module in read for name in module.tensors}
    rest = {name: tensor for name, tensor in header.tensors.items() if name not in used}
    total = _numbers(header.tensors)
    return Left(tuple(rest), _numbers(rest) / total if total else 0.0)


def _numbers(tensors: Mapping[str, Tensor]) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors.values())


def _others(header: Header) -> Mapping[str, int]:
    kinds = tuple(_OTHERS)
    found = (match for name in header.tensors if (match := _OTHER.fullmatch(name)))
    layers = dict.fromkeys((match[1], kinds[(match.lastindex or 0) - 2]) for match in found)
    return Counter(kind for _, kind in layers)


def _of_one_encoder(found: Sequence[Module]) -> Iterator[Module]:
    """Yield the modules, by one name for the text encoder of a model that has only one.

    Diffusers calls it as it calls the first of SDXL, sd-scripts does not.
    """
    contexts = {m.shape[1] for m in found if m.name.endswith("attn2_to_k")}
    one = any(width in _ONE_ENCODER for width in contexts)
    for module in found:
        if one and module.name.startswith(names.TE1):
            yield replace(module, name=names.TE + module.name[len(names.TE1) :])
        else:
            yield module


def _modules(header: Header) -> Iterator[Module]:
    for name, tensor in header.tensors.items():
        if found := _FIRST.search(name):
            up = name[: found.start()] + _other(found[0])
            yield _module(header, name[: found.start()], name, tensor, up)
        elif (found := _SECOND.search(name)) and (
            name[: found.start()] + _other(found[0]) not in header.tensors
        ):
            raise UserError(f"{header.file} has no second matrix for {name}", hint=_AGAIN)


def _other(ending: str) -> str:
    """Return the ending of the second matrix from that of the first, or the other way around."""
    swap = {"lora_A": "lora_B", "lora_B": "lora_A", "down": "up", "up": "down"}
    return re.sub("lora_[AB]|down|up", lambda found: swap[found[0]], ending, count=1)


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
    alphas = (stem + ALPHA, re.sub(r"\.(?:down\.)?weight$", "", down) + ALPHA)
    return Module(
        name=names.ours(stem),
        up=up,
        down=down,
        middle=stem + MIDDLE if middle else None,
        alpha=next((name for name in alphas if name in header.tensors), None),
        rank=rank,
        shape=(other.shape[0], half.shape[1], *kernel),
    )
