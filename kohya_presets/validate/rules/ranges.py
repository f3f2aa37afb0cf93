"""Numbers that sd-scripts takes and cannot work with, some only after a training."""

from __future__ import annotations

import math
from typing import NamedTuple

from kohya_presets.training.settings import Settings
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
    _Range("train", "max_grad_norm", 0),  # a negative one turns the gradients round
    _Range("extract", "dim", 1),
    _Range("extract", "conv_dim", 1),
    _Range("extract", "clamp_quantile", 0, 1),
    _Range("resize", "new_rank", 1),
    _Range("resize", "new_conv_rank", 1),
)


def out_of_range(s: Settings) -> Finding | None:
    for allowed in _RANGES:
        if allowed.key == "max_train_steps" and s.train("max_train_epochs"):
            continue  # which take their place
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


RULES = (
    Rule(
        "out-of-range",
        "error",
        ", ".join(f"{r.key} is {r.words}" for r in _RANGES),
        out_of_range,
        "library/train_util.py, networks/: hand such numbers on to accelerate and torch, which "
        "stop, or train no step and make a LoRA of rank 0",
        fails=AT_ONCE,
        options=tuple(allowed.key for allowed in _RANGES),
    ),
    Rule(
        "not-finite",
        "error",
        "a number is finite",
        not_finite,
        "library/train_util.py, read_config_from_file: takes nan and inf, and trains with them",
        fails=NEVER,
    ),
)
