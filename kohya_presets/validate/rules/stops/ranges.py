"""Numbers that sd-scripts accepts but cannot use; some stop it only after a training."""

from __future__ import annotations

import math
from typing import NamedTuple

from kohya_presets.sdscripts import optimizers
from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import FREE
from kohya_presets.validate.rules.rule import AT_ONCE, NEVER, Finding, Rule


class _Range(NamedTuple):
    table: str
    key: str
    least: float
    most: float = math.inf

    @property
    def words(self) -> str:
        if self.most == math.inf:
            return f"{self.least:g} or more"
        return f"{self.least:.0f} to {self.most:.0f}"


_RANGES = (
    _Range("train", "seed", 0, 2**32 - 1),
    _Range("train", "max_train_epochs", 1),
    _Range("train", "max_train_steps", 1),
    _Range("train", "max_grad_norm", 0),  # a negative one reverses the gradients
    _Range("extract", "dim", 1),
    _Range("extract", "conv_dim", 1),
    _Range("extract", "clamp_quantile", 0, 1),
    _Range("resize", "new_rank", 1),
    _Range("resize", "new_conv_rank", 1),
)


def out_of_range(s: Settings) -> Finding | None:
    for allowed in _RANGES:
        if allowed.key == "max_train_steps" and s.train("max_train_epochs"):
            continue  # which replace them
        given = s.given(allowed.table, allowed.key)
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, (int, float)) and not allowed.least <= value <= allowed.most:
                message = f"expected {allowed.key} of {allowed.words}, found {value}"
                return Finding(allowed.table, allowed.key, message)
    return None


def not_finite(s: Settings) -> Finding | None:
    for table, values in s.tables.items():
        for key, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                return Finding(table, key, f"expected a finite number, found {value}")
    return None


def share_of_steps(s: Settings) -> Finding | None:
    for key in ("lr_warmup_steps", "lr_decay_steps"):
        if s.training.schedule in (FREE, "piecewise_constant"):
            break  # it has no effect, which is told
        value, option = s.given("train", key), s.known("train").get(key)
        if option and option.type == "int or float" and isinstance(value, float) and value >= 1:
            message = f"{key} = {value} is a share: {value:g} times all steps"
            hint = f"For steps, write a whole number: {key} = {value:.0f}."
            return Finding("train", key, message, hint)
    return None


def warmup_too_long(s: Settings) -> Finding | None:
    steps, whole = s.train("lr_warmup_steps"), s.given("train", "max_train_steps")
    if not steps or not isinstance(steps, int) or not whole or s.train("max_train_epochs"):
        return None  # in epochs, the number of steps depends on the images
    warm = (*optimizers.SHAPED, "constant_with_warmup", "inverse_sqrt")
    if s.training.schedule not in warm or steps <= whole:
        return None
    message = f"the warm-up takes {steps} steps, the training {whole}: the rate only gets to "
    message += f"{whole / steps:.0%}"
    return Finding("train", "lr_warmup_steps", message, "Use fewer lr_warmup_steps.")


_SCHEDULE = "library/train_util.py (optimizer.py from v0.11.0), get_scheduler_fix"
RULES = (
    Rule(
        "out-of-range",
        "error",
        ", ".join(f"{r.key} must be {r.words}" for r in _RANGES),
        out_of_range,
        "library/train_util.py, networks/: hand such numbers on to accelerate and torch, which "
        "stop, or train no step and make a LoRA of rank 0",
        fails=AT_ONCE,
        options=tuple(allowed.key for allowed in _RANGES),
    ),
    Rule(
        "not-finite",
        "error",
        "a number must be finite",
        not_finite,
        "library/train_util.py, read_config_from_file: takes nan and inf, and trains with them",
        fails=NEVER,
    ),
    Rule(
        "share-of-steps",
        "warning",
        "lr_warmup_steps and lr_decay_steps with a decimal point are a share of all steps",
        share_of_steps,
        f"{_SCHEDULE}: multiplies a float by the number of steps",
        fails=NEVER,
        options=("lr_warmup_steps", "lr_decay_steps"),
    ),
    Rule(
        "warmup-too-long",
        "warning",
        "lr_warmup_steps must be fewer than max_train_steps",
        warmup_too_long,
        f"{_SCHEDULE}: the rate rises over the warm-up",
        fails=NEVER,
        options=("lr_warmup_steps", "max_train_steps"),
    ),
)
