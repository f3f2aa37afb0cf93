"""Warnings from the experience of users of sd-scripts and similar trainers."""

from __future__ import annotations

import math
from collections.abc import Callable

from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.scripts import KNOWN, MODEL, makes_lora
from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import TEXT_ENCODER_1, UNET
from kohya_presets.validate.rules.rule import (
    AT_ONCE,
    EVERY,
    FINE_TUNE,
    NEVER,
    SDXL,
    Finding,
    Rule,
)

HALF = 0.5
# The range of learning rates that worked for users, by how the optimizer's class is called, for the
# model itself and for what is trained beside it, which needs a rate about a hundred times higher: a
# LoRA, an embedding, a ControlNet (docs/train_lllite_README.md has 2e-4).
SCALES = {
    "adacoor": ((0.01, 10.0), (0.01, 10.0)),
    **dict.fromkeys(("prodigy", "dadapt"), ((0.01, 10.0), (0.01, 10.0))),
    "lion": ((1e-9, 1e-5), (1e-8, 1e-3)),
    "adafactor": ((1e-8, 1e-3), (1e-7, 1e-2)),
    **dict.fromkeys(
        ("adam", "came", "ademamix", "nadam", "radam", "stableadam"),
        ((1e-8, 1e-4), (1e-7, 1e-2)),
    ),
    "sgd": ((1e-7, 0.5), (1e-6, 10.0)),
}
SMALL_DIFFERENCE = 1e-4  # fine-tuning at 1e-6 changes most weights by less than 1e-3


def text_encoder_rate_zero(s: Settings) -> Finding | None:
    if not s.train("train_text_encoder"):
        return None
    for number, trained in enumerate(s.training.text_encoders, start=1):
        if not trained:
            message = f"text encoder {number} is not trained: its learning rate is 0"
            hint = "Beware: Kohya GUI v24 and v25 ignore a 0 and train it at the U-Net's rate."
            return Finding("train", f"learning_rate_te{number}", message, hint)
    return None


def ema_learns_nothing(s: Settings) -> Finding | None:
    steps = s.steps()
    decay, beta = s.train("ema_decay"), s.train("ema_exp_beta")
    if not s.train("enable_ema") or not steps or decay is None or beta is None:
        return None
    decays = (_decay(n, steps, decay, beta) for n in range(1, steps + 1))
    if (left := math.prod(decays)) <= HALF:
        return None
    message = f"after {steps} steps, {left:.0%} of the average would still be the base model"
    hint = f"Use ema_decay = {0.05 ** (1 / steps):.4g} or less."
    return Finding("train", "ema_decay", message, hint)


def ema_values(s: Settings) -> Finding | None:
    if not s.train("enable_ema"):
        return None
    decay, every = s.train("ema_decay"), s.train("ema_update_every")
    if decay is not None and not 0 <= decay < 1:
        message = f"expected ema_decay from 0 to less than 1, found {decay:g}"
        return Finding("train", "ema_decay", message)
    if every is not None and every < 1:
        message = f"expected ema_update_every of 1 or more, found {every:g}"
        return Finding("train", "ema_update_every", message)
    return None


def ema_with_deepspeed(s: Settings) -> Finding | None:
    if not s.train("enable_ema") or not s.train("deepspeed"):
        return None
    message = "enable_ema does not work with deepspeed, which splits the weights"
    return Finding("train", "enable_ema", message, "Delete one of the two.")


def ema_idle(s: Settings) -> Finding | None:
    names = s.additions.options(s.script, ["ema"])
    given = [n for n in names if n != "enable_ema" and s.given("train", n) is not None]
    if not given or s.train("enable_ema"):
        return None
    message = f"{given[0]} has no effect without enable_ema"
    return Finding("train", given[0], message, "Set enable_ema = true.")


def rounded_away(s: Settings) -> Finding | None:
    own = s.training.optimizer == "adafactor" and s.train("fused_backward_pass")
    own = own and options.is_in(s.release, ">=0.10.0")
    ways = ("stochastic_rounding", "kahan_summation")
    rounds = s.training.optimizer_args.get(ways[0]) or any(map(s.train, ways))
    if not s.train("full_bf16") or own or rounds:
        return None
    message = "full_bf16 rounds small changes away: most weights never change"
    hint = (
        "Leave full_bf16 out, or use stochastic rounding: the patch fused-step with "
        "stochastic_rounding = true or kahan_summation = true (AdaCoor, AdamW, Lion), or Adafactor "
        "with fused_backward_pass on v0.10.0 or newer."
    )
    return Finding("train", "full_bf16", message, hint)


def fused_saves_nothing(s: Settings) -> Finding | None:
    steps = s.train("gradient_accumulation_steps")
    if not s.train("fused_backward_pass") or steps in (1, None):
        return None
    if "fused-step" not in s.patches or s.training.optimizer == "adafactor":
        return None  # sd-scripts stops
    message = f"fused_backward_pass saves no memory with gradient_accumulation_steps = {steps}"
    hint = "All gradients are kept from one batch to the next. Use gradient_accumulation_steps = 1."
    return Finding("train", "fused_backward_pass", message, hint)


def text_encoders_dropped(s: Settings) -> Finding | None:
    least = s.tool("extract", "min_diff") if s.has("extract") else None
    if least is None or least <= SMALL_DIFFERENCE or not any(s.training.text_encoders):
        return None
    message = f"with min_diff {least:g} most LoRAs are extracted without the text encoders"
    return Finding("extract", "min_diff", message, "Use extract.min_diff = 1e-6.")


def foreign_rate(s: Settings) -> Finding | None:
    if s.training.sets_rate or s.training.schedule.startswith("adafactor:"):
        return None  # learning_rate is not the rate
    name = s.training.optimizer.rsplit(".", 1)[-1].removeprefix("paged")
    usual = next((scale for start, scale in SCALES.items() if name.startswith(start)), None)
    if usual is None:
        return None
    low, high = usual[s.script in KNOWN and KNOWN[s.script].makes != MODEL]
    for part, rate in s.training.rates.items():
        if rate and not low <= rate <= high:
            key = _rate_key(s, part)
            message = (
                f"{key} {rate:g} is far outside the usual range of {s.training.optimizer_name}"
            )
            return Finding("train", key, message, f"Use a {key} from {low:g} to {high:g}.")
    return None


def _rate_key(s: Settings, part: str) -> str:
    """Return the option that gives the rate of a part."""
    own = {UNET: "unet_lr"} if makes_lora(s.script) else {}
    if part != UNET:
        number = "1" if part == TEXT_ENCODER_1 else "2"
        own[part] = "text_encoder_lr" if makes_lora(s.script) else f"learning_rate_te{number}"
    key = own.get(part, "learning_rate")
    return key if s.given("train", key) is not None else "learning_rate"


def caption_extension(s: Settings) -> Finding | None:
    if not s.is_whole or s.dataset("caption_extension") != ".caption":
        return None
    if s.given("dataset", "metadata_file") or s.given("train", "in_json"):
        return None
    message = (
        "captions are read from .caption files (the default of sd-scripts), not from .txt files"
    )
    hint = 'Use caption_extension = ".txt".'
    return Finding("dataset", "caption_extension", message, hint)


def half_vae(s: Settings) -> Finding | None:
    own = s.given("train", "vae")  # it may be one of those made for fp16
    if s.train("no_half_vae") in (True, None) or s.train("mixed_precision") != "fp16" or own:
        return None
    message = "SDXL's VAE produces NaN in fp16"
    return Finding("train", "no_half_vae", message, "Use no_half_vae = true.")


def _decay(step: int, steps: int, decay: float, beta: float) -> float:
    """Return the decay of one update, as patches/ema has it."""
    if not beta:
        return float(min(decay, (1 + step) / (10 + step)))
    return float(min(decay, decay * (1 - math.exp(-beta * step / steps))))


def lesson(
    code: str,
    says: str,
    find: Callable[[Settings], Finding | None],
    citation: str,
    *,
    options: tuple[str, ...],
    scripts: tuple[str, ...] = EVERY,
) -> Rule:
    """Return a warning that a thread or a measurement taught."""
    return Rule(
        code, "warning", says, find, citation, fails=NEVER, options=options, scripts=scripts
    )


RULES = (
    Rule(
        "ema-values",
        "error",
        "ema_decay must be below 1, ema_update_every 1 or more",
        ema_values,
        "patches/ema/kp_ema.py, check: raises",
        fails=AT_ONCE,
        options=("ema_decay", "ema_update_every"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "ema-deepspeed",
        "error",
        "enable_ema does not work with deepspeed",
        ema_with_deepspeed,
        "patches/ema/kp_ema.py, check: raises",
        fails=AT_ONCE,
        options=("enable_ema", "deepspeed"),
        scripts=FINE_TUNE,
    ),
    lesson(
        "ema-idle",
        "the other options of the EMA need enable_ema",
        ema_idle,
        "patches/ema/kp_ema.py, prepare",
        options=("enable_ema",),
        scripts=FINE_TUNE,
    ),
    lesson(
        "ema-learns-nothing",
        "ema_decay must fit the number of steps",
        ema_learns_nothing,
        "OneTrainer issue 889; sd-scripts pull request 893, comments",
        options=("ema_decay",),
        scripts=FINE_TUNE,
    ),
    lesson(
        "text-rate-zero",
        "learning_rate_te1 or learning_rate_te2 of 0 does not train that text encoder",
        text_encoder_rate_zero,
        "kohya_ss issue 1992, pull request 2697; 0 was dropped in v24.1.7 and v25.2.1",
        options=("learning_rate_te1", "learning_rate_te2"),
        scripts=FINE_TUNE,
    ),
    lesson(
        "rounded-away",
        "full_bf16 needs stochastic rounding or Kahan summation",
        rounded_away,
        "musubi-tuner issue 784; measured: patches/fused_step/README.md, What bf16 costs; "
        "library/adafactor_fused.py rounds by chance from v0.10.0 on",
        options=("full_bf16",),
        scripts=FINE_TUNE,
    ),
    lesson(
        "fused-saves-nothing",
        "fused_backward_pass saves no memory with gradient_accumulation_steps above 1",
        fused_saves_nothing,
        "patches/fused_step/kp_in_backward.py: steps in the last of the batches",
        options=("fused_backward_pass", "gradient_accumulation_steps"),
        scripts=FINE_TUNE,
    ),
    lesson(
        "half-vae",
        "no_half_vae on",
        half_vae,
        "guide: No half VAE",
        options=("no_half_vae", "mixed_precision"),
        scripts=SDXL,
    ),
    lesson(
        "text-encoders-dropped",
        "with min_diff 0.01, the default, the text encoders are left out",
        text_encoders_dropped,
        "sd-scripts issues 1034, 960, 890, 855: min_diff is 0.01 by default",
        options=("min_diff",),
    ),
    lesson(
        "foreign-rate",
        "learning_rate must be in the usual range of the optimizer",
        foreign_rate,
        "OneTrainer issue 116; Kohya_lora_param_gui's check",
        options=("learning_rate",),
    ),
    lesson(
        "caption-extension",
        "caption_extension is .caption by default, not .txt",
        caption_extension,
        "kohya_ss issues 927, 988, 1370",
        options=("caption_extension",),
    ),
)
