"""The guide's experience with images, captions and the extraction, in our words."""

from __future__ import annotations

from collections.abc import Callable

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.advice.guide import advice
from kohya_presets.validate.rules.rule import Finding, Rule

LARGEST_BATCH = 3
LARGEST_RANK = 128  # worth its size, extracted directly


def in_dataset(key: str, message: str, hint: str) -> Callable[[Settings], Finding | None]:
    """Return a check that the dataset's setting `key` is not switched on."""
    return lambda s: Finding(*s.where(key), message, hint) if s.dataset(key) else None


def large_batch(s: Settings) -> Finding | None:
    size = s.dataset("batch_size")
    if not size or size <= LARGEST_BATCH:
        return None
    message = f"a batch of {size} learns less than one of {LARGEST_BATCH} and is hardly faster"
    return Finding(*s.where("batch_size"), message, f"Use batch_size = {LARGEST_BATCH} or less.")


def regularization(s: Settings) -> Finding | None:
    for table, key in (("train", "reg_data_dir"), ("dataset", "is_reg")):
        if s.given(table, key):
            message = "regularization images only make the training learn less"
            return Finding(table, key, message, f"Leave {key} out.")
    return None


def low_clamp(s: Settings) -> Finding | None:
    quantile = s.tool("extract", "clamp_quantile") if s.has("extract") else None
    if quantile is None or quantile >= 1:
        return None
    message = f"clamp_quantile {quantile:g} reduces the largest changes"
    return Finding("extract", "clamp_quantile", message, "Use extract.clamp_quantile = 1.0.")


def large_rank(s: Settings) -> Finding | None:
    rank = s.rank
    if not rank or rank <= LARGEST_RANK or s.has("resize"):
        return None
    message = f"a LoRA of rank {rank} is larger than one of {LARGEST_RANK} and hardly better"
    return Finding("extract", "dim", message, f"Use extract.dim = {LARGEST_RANK}.")


def worse(code: str, key: str, message: str, section: str) -> Rule:
    """Return the rule against a dataset's setting that the guide found to make results worse."""
    find = in_dataset(key, message, f"Leave {key} out.")
    return advice(code, f"no {key}", find, section, options=(key,))


RULES = (
    advice(
        "large-batch",
        "batch_size up to 3",
        large_batch,
        "Train batch size",
        options=("batch_size",),
    ),
    advice(
        "regularization",
        "no regularization images: reg_data_dir, is_reg",
        regularization,
        "Dataset, the finishing note",
        options=("reg_data_dir", "is_reg"),
    ),
    advice(
        "low-clamp",
        "clamp_quantile 1",
        low_clamp,
        "Vast.ai, extracting",
        options=("clamp_quantile",),
    ),
    advice(
        "large-rank",
        "extract.dim up to 128",
        large_rank,
        "update after 2023-12-08 (128 directly)",
        options=("dim",),
    ),
    worse(
        "caption-dropout",
        "caption_dropout_rate",
        "training without captions gives worse results",
        "Rate of caption dropout",
    ),
    worse(
        "caption-dropout-epochs",
        "caption_dropout_every_n_epochs",
        "epochs without captions give worse results",
        "dropout caption every n epochs",
    ),
    worse(
        "color-augmentation",
        "color_aug",
        "changed colors do not replace more images",
        "Color and flip augmentation",
    ),
    worse(
        "flip-augmentation",
        "flip_aug",
        "flipped images do not replace more images",
        "Color and flip augmentation",
    ),
)
