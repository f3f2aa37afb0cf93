"""Steps inside of the backward pass, and ways to round: with what they do not work.

sd-scripts does the first for Adafactor, from v0.9.0 on; our patch fused-step adds other optimizers,
older releases, and the rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kohya_presets.sdscripts import options
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import (
    FINE_TUNE,
    FIRST_STEP,
    LOADING,
    MODEL_LOADED,
    NEVER,
    Finding,
    Rule,
    excludes,
)

PATCH = "fused-step"
ALONE = ("adacoor", "adamw", "lion")  # what the patch can step, without the package's name
NAMES = "AdaCoor, AdamW and Lion"
# Arguments that the patch's own steps do not know -> the value that is as without them.
PLAIN: Mapping[str, Mapping[str, Any]] = {
    "adamw": {"amsgrad": False, "maximize": False},
    "lion": {"cautious_factor": 1.0},
}
ROUNDING = ("stochastic_rounding", "kahan_summation")
ASKED = ("fused_backward_pass", *ROUNDING)


def fused_optimizer(s: Settings) -> Finding | None:
    if not s.train("fused_backward_pass"):
        return None
    patched, name = PATCH in s.patches, _name(s)
    if name == "adafactor":
        if options.is_in(s.release, ">=0.9.0"):
            return None
        message = "fused_backward_pass with Adafactor needs sd-scripts v0.9.0 or newer"
        return Finding("train", "fused_backward_pass", message, f"Use one of {NAMES}.")
    if patched and (name in ALONE or _is_of_another_patch(s)):
        return None
    with_ = f"Adafactor, {NAMES}" if patched else "Adafactor"
    message = f"fused_backward_pass works only with {with_}, not with {s.training.optimizer_name}"
    hint = "Use fused_optimizer_groups instead: it works with other optimizers."
    if name in ALONE and not patched:
        hint = f'Add the patch "{PATCH}": with it, it also works with {NAMES}.'
    return Finding("train", "fused_backward_pass", message, hint)


def fused_accumulation(s: Settings) -> Finding | None:
    steps = s.train("gradient_accumulation_steps")
    if not s.train("fused_backward_pass") or steps in (1, None):
        return None
    if PATCH in s.patches and _name(s) != "adafactor":
        return None
    message = f"fused_backward_pass does not work with gradient_accumulation_steps = {steps}"
    return Finding("train", "fused_backward_pass", message, "Use gradient_accumulation_steps = 1.")


def fused_twice(s: Settings) -> Finding | None:
    if not s.train("fused_backward_pass") or not s.train("fused_optimizer_groups"):
        return None
    message = "with fused_backward_pass, only the first of the fused_optimizer_groups is trained"
    return Finding("train", "fused_optimizer_groups", message, "Delete one of the two.")


def in_fp16(s: Settings) -> Finding | None:
    asked = _asked(s)
    if asked is None or s.train("mixed_precision") != "fp16":
        return None
    message = f"{asked} does not work with fp16, whose gradients are scaled until all are there"
    return Finding("train", asked, message, 'Use mixed_precision = "bf16".')


def with_deepspeed(s: Settings) -> Finding | None:
    asked = _asked(s)
    if asked is None or PATCH not in s.patches or not s.train("deepspeed"):
        return None
    message = f"{asked} does not work with deepspeed, which splits the weights"
    return Finding("train", asked, message, "Delete one of the two.")


def rounded_twice(s: Settings) -> Finding | None:
    if not all(map(s.train, ROUNDING)):
        return None
    message = "kahan_summation and stochastic_rounding are two ways to write the weights"
    hint = "Delete one of the two. kahan_summation rounds the optimizer's state by chance as well."
    return Finding("train", "kahan_summation", message, hint)


def optimizer_of(option: str) -> Callable[[Settings], Finding | None]:
    """Return the rule that a way to round goes with some optimizers only."""

    def rule(s: Settings) -> Finding | None:
        if not s.train(option) or _name(s) in ALONE or _is_of_another_patch(s):
            return None
        message = f"{option} works with {NAMES}, not with {s.training.optimizer_name}"
        return Finding("train", option, message, f"Use one of {NAMES}, or leave {option} out.")

    return rule


def arguments_of(option: str) -> Callable[[Settings], Finding | None]:
    """Return the rule that a way to round does not know some arguments of optimizers."""

    def rule(s: Settings) -> Finding | None:
        given = s.training.optimizer_args
        for name, plain in PLAIN.get(_name(s), {}).items():
            if s.train(option) and given.get(name, plain) != plain:
                message = f"{option} does not work with {name}={given[name]}"
                return Finding("train", "optimizer_args", message, f"Leave {name} out.")
        return None

    return rule


def _asked(s: Settings) -> str | None:
    return next((key for key in ASKED if s.train(key)), None)


def _name(s: Settings) -> str:
    return s.training.optimizer.rpartition(".")[2]


def _is_of_another_patch(s: Settings) -> bool:
    """Return whether a user's patch has the optimizer: it may be made for this."""
    others = [name for name in s.patches if name not in (PATCH, "adacoor")]
    return s.training.optimizer in map(str.lower, s.additions.optimizers(others))


def _rules(code: str, option: str) -> Iterator[Rule]:
    """Yield what a way to round does not work with."""
    yield Rule(
        f"{code}-groups",
        "error",
        f"{option} does not work with fused_optimizer_groups",
        excludes(option, "fused_optimizer_groups"),
        _OURS,
        fails=LOADING,
        options=(option, "fused_optimizer_groups"),
        scripts=FINE_TUNE,
    )
    yield Rule(
        f"{code}-optimizer",
        "error",
        f"{option} needs one of {NAMES}",
        optimizer_of(option),
        "patches/fused_step/kp_alone.py, Alone: raises",
        fails=MODEL_LOADED,
        options=(option, "optimizer_type"),
        scripts=FINE_TUNE,
    )
    yield Rule(
        f"{code}-args",
        "error",
        f"{option} does not work with AdamW's amsgrad and maximize, Lion's cautious",
        arguments_of(option),
        "patches/fused_step/kp_alone.py, Alone: raises",
        fails=MODEL_LOADED,
        options=(option, "optimizer_args"),
        scripts=FINE_TUNE,
    )


_OPTIMIZER = "library/train_util.py (optimizer.py from v0.11.0), get_optimizer"
_EACH = "fused_backward_pass, stochastic_rounding and kahan_summation"
_OURS = "patches/fused_step/kp_fused.py: raises"
RULES = (
    Rule(
        "fused-optimizer",
        "error",
        f"fused_backward_pass needs Adafactor; with the patch {PATCH} also {NAMES}",
        fused_optimizer,
        f"{_OPTIMIZER}: asserts Adafactor",
        fails=MODEL_LOADED,
        options=("fused_backward_pass", "optimizer_type"),
    ),
    Rule(
        "fused-accumulation",
        "error",
        "fused_backward_pass of Adafactor does not work with gradient_accumulation_steps above 1",
        fused_accumulation,
        f"{_OPTIMIZER}: asserts gradient_accumulation_steps == 1",
        fails=MODEL_LOADED,
        options=("fused_backward_pass", "gradient_accumulation_steps"),
    ),
    Rule(
        "fused-twice",
        "error",
        "fused_backward_pass does not work with fused_optimizer_groups",
        fused_twice,
        "sdxl_train.py, train: hooks of the first optimizer only; measured on v0.10.1",
        fails=NEVER,
        options=("fused_backward_pass", "fused_optimizer_groups"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "fused-fp16",
        "error",
        f"{_EACH} do not work with mixed_precision fp16",
        in_fp16,
        f"{_OURS}; sdxl_train.py, __grad_hook: unscale_() has already been called",
        fails=FIRST_STEP,
        options=(*ASKED, "mixed_precision"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "fused-deepspeed",
        "error",
        f"{_EACH} of the patch {PATCH} exclude deepspeed",
        with_deepspeed,
        _OURS,
        fails=LOADING,
        options=(*ASKED, "deepspeed"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "rounded-twice",
        "error",
        "kahan_summation and stochastic_rounding exclude each other",
        rounded_twice,
        _OURS,
        fails=LOADING,
        options=ROUNDING,
        scripts=FINE_TUNE,
    ),
    *_rules("rounding", "stochastic_rounding"),
    *_rules("kahan", "kahan_summation"),
)
