"""Check what a LoRA is extracted from, or resized, by the headers: minutes before it would fail."""

from __future__ import annotations

from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.loras import modules, summary, weights
from kohya_presets.loras.modules import PRECISIONS
from kohya_presets.loras.summary import Lora
from kohya_presets.loras.weights import Header
from kohya_presets.problems import listed, plural
from kohya_presets.sdscripts.scripts import CHECKPOINT

# Where the layers that a LoRA can have modules for are in SDXL's single file.
_LAYERS = (
    "model.diffusion_model.",
    "conditioner.embedders.0.transformer.text_model.encoder.layers.",
    "conditioner.embedders.1.model.transformer.resblocks.",
)
# Endings of a module's first matrix that resize_lora.py finds, and those since v0.10.0 only.
_FOUND, _FOUND_LATER = (".lora_down.weight",), (".lora_A.weight", ".lora_A", ".down.weight")
_FP = "Use the file in fp16, bf16 or fp32."


def model(file: Path, what: str) -> Header:
    """Return the header of `what`, the base or the tuned model, in a form to extract from.

    Raises:
        UserError: it is not a complete SDXL checkpoint in fp16 or better.
    """
    header = weights.read(file)
    if (found := weights.kind(header)) != CHECKPOINT:
        hint = f"The {what} has to be the SDXL model in one file, with its VAE and text encoders."
        raise UserError(
            f"expected {CHECKPOINT} as the {what}, but {file} is {found}",
            hint=f"{hint} To change a LoRA's rank, use `kohya-presets resize`."
            if found == "a LoRA"
            else hint,
        )
    _require_precise(header, [name for name in header.tensors if _is_layer(name)])
    return header


def pair(base: Header, tuned: Header) -> None:
    """Raise UserError unless the two models are different files of the same architecture."""
    if base.file.samefile(tuned.file):
        raise UserError(f"the base and the tuned model are the same file: {base.file}")
    for one, other in ((base, tuned), (tuned, base)):
        lacking = [name for name in one.tensors if _is_layer(name) and name not in other.tensors]
        if lacking:
            more = f" and {plural(len(lacking) - 1, 'more layer')}" if lacking[1:] else ""
            raise UserError(
                f"{other.file} lacks {lacking[0]}{more}, which {one.file} has", hint=_SAME
            )
    for name in filter(_is_layer, base.tensors):
        was, now = base.tensors[name].shape, tuned.tensors[name].shape
        if was != now:
            raise UserError(
                f"the models are not of the same architecture: {name} has the shape {was} in "
                f"{base.file} and {now} in {tuned.file}",
                hint=_SAME,
            )


_SAME = "Use the base that the tuned model was trained from."


def lora(file: Path) -> Lora:
    """Return what the LoRA in `file` holds.

    Raises:
        UserError: resizing it would fail, or leave parts of it as they are.
    """
    header = weights.read(file)
    found = modules.of(header)
    _require_precise(header, [n for module in found.all for n in (module.up, module.down)])
    if found.left:
        kinds = f" ({', '.join(found.others)})" if found.others else ""
        raise UserError(
            f"{file} cannot be resized: besides pairs of matrices it has other tensors{kinds}, "
            f"which would not fit any more: {found.left}",
            hint="Only LoRAs of lora_down and lora_up pairs can be resized.",
        )
    if middle := next((module.middle for module in found.all if module.middle), None):
        raise UserError(
            f"{file} cannot be resized: resize_lora.py does not know its third matrix, {middle}",
            hint="Only LoRAs of lora_down and lora_up pairs can be resized.",
        )
    return summary.describe(file)


def names(file: Path, script: Path) -> None:
    """Raise UserError if the resizing script overlooks modules of the LoRA by their names."""
    later = "lora_A" in script.read_text(encoding="utf-8", errors="replace")
    ends = (*_FOUND, *(_FOUND_LATER if later else ()))
    strange = [
        module.down
        for module in modules.of(weights.read(file)).all
        if not module.down.endswith(ends)
    ]
    if strange:
        hint = "Convert the LoRA to the names of sd-scripts first."
        if not later and strange[0].endswith(_FOUND_LATER):
            hint = "Use --release v0.10.0 or newer."
        raise UserError(f"{file}: this sd-scripts does not find the module {strange[0]}", hint=hint)


def _is_layer(name: str) -> bool:
    return name.endswith("weight") and name.startswith(_LAYERS)


def _require_precise(header: Header, names: list[str]) -> None:
    low = sorted({header.tensors[name].dtype for name in names} - PRECISIONS.keys())
    if low:
        told = listed("fp8" if dtype.startswith("F8_") else dtype for dtype in low)
        raise UserError(f"expected fp16, bf16 or fp32, but {header.file} is in {told}", hint=_FP)
