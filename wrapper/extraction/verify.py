"""Verify what an extraction or a resizing made: complete, with every part, and with an effect."""

from __future__ import annotations

from pathlib import Path

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.loras import sound, summary, weights
from kohya_presets.loras.summary import Lora
from kohya_presets.presets.preset import Table
from kohya_presets.sdscripts import options as known
from kohya_presets.sdscripts.scripts import TOOLS

KEEPS_TEXT_ENCODERS = 1e-6  # the guide's, and our presets'


def extracted(file: Path, *, text_encoders: bool, min_diff: float) -> Lora:
    """Return what the extracted LoRA in `file` holds.

    `text_encoders` is whether they were trained, so that it must have modules for both. `min_diff`
    is the one it was extracted with.

    Raises:
        TrainerError: it is incomplete, lacks a part, has a number that is not finite, or no effect.
    """
    lora = _whole(file)
    if text_encoders and not (lora.text_encoder_1 and lora.text_encoder_2):
        raise TrainerError(
            f"{file} has no text-encoder modules, although the text encoders were trained: "
            f"none of their weights changed by more than extract.min_diff ({min_diff:g})",
            hint=_for_larger_changes(min_diff),
        )
    if not lora.unet:
        raise TrainerError(
            f"{file} has no U-Net modules",
            hint="Use a higher learning rate: training changed the U-Net too little to extract it.",
        )
    return lora


def resized(file: Path, source: Lora, rank: int) -> Lora:
    """Return what the LoRA in `file` holds, resized from `source` to `rank` or less.

    Raises:
        TrainerError: the same faults, or it has other modules than `source`, or a larger rank.
    """
    lora = _whole(file)
    was, now = sum(source.ranks.values()), sum(lora.ranks.values())
    if was != now:
        message = f"{file} should have {was} modules, as {source.file.name} has, but has {now}"
        raise TrainerError(message)
    if lora.rank > rank:
        raise TrainerError(
            f"{file} should have rank {rank} at most, but has rank {lora.rank}",
            hint="resize_lora.py left modules as they were. Use a newer release of sd-scripts.",
        )
    return lora


def min_diff(options: Table) -> float:
    """Return the threshold of an extraction with these options."""
    value: float = options.get("min_diff", known.of(TOOLS["extract"])["min_diff"].default)
    return value


def _whole(file: Path) -> Lora:
    try:
        sound.require(weights.read(file))
        return summary.describe(file)
    except UserError as error:
        raise TrainerError(f"the result is unusable: {error}", hint=error.hint) from None


def _for_larger_changes(min_diff: float) -> str:
    longer = "a higher learning rate for the text encoders, or train longer"
    if min_diff > KEEPS_TEXT_ENCODERS:
        return f"Use --set extract.min_diff={KEEPS_TEXT_ENCODERS:g}, or {longer}."
    return f"Use {longer}. Is lr_warmup_steps longer than the training?"
