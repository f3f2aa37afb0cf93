"""The GPU memory of an optimizer: its state, and the work space of one step.

Measured on the real optimizers with the shapes of SDXL's tensors, in fp32 and in half (`estimate`):
those of torch and Lion keep their state in the dtype of the weights, others in their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kohya_presets.training.trained import PARTS, Training

UNKNOWN = 8  # bytes for each weight: two numbers in fp32, as Adam has them
COPIES = 24  # bytes for each number that the patch fused-step rounds by chance, at one time
LOST = 2  # bytes for each weight: what Kahan summation keeps
PART = 2**24  # numbers that it rounds at one time
ALIASES = {"dadaptation": "dadaptadampreprint"}

Facts = Mapping[str, Any]


class Cost(NamedTuple):
    """Bytes of the state and of the work space of a step; a note on what is not counted."""

    state: int
    work: int
    note: str | None = None


def cost(
    training: Training,
    facts: Facts,
    *,
    half: bool,
    alone: bool = False,
    rounding: bool = False,
    kahan: bool = False,
) -> Cost:
    """Return what the optimizer costs for the trained parts; with `half` these are in 16 bits.

    `alone`: it steps one weight at a time; `rounding`: in fp32, and rounds by chance; `kahan`:
    and keeps what rounding takes from the weights.

    These arguments count: Adafactor's beta1, AdaCoor's state_dtype, Prodigy's slice_p, Adam's
    amsgrad, foreach and fused.
    """
    models, own, given = training.parts, _name(training.optimizer), training.optimizer_args
    known = facts["optimizers"].get(_variant(own, given))
    if known is None:
        numbers = sum(facts["trained"][model] for model in models)
        note = f"unknown optimizer {training.optimizer_name}: assuming {UNKNOWN} bytes per weight"
        return Cost(UNKNOWN * numbers, 0, note)
    rows = [known["half" if half else "float"][PARTS.index(model)] for model in models]
    state = round(sum(row[0] for row in rows) * _times(own, given))
    work = max((row[1] for row in rows), default=0)
    largest = max((facts["largest"][model] for model in models), default=0)
    if alone or given.get("fused") is True or given.get("foreach") is False:  # tensor by tensor
        work = min(work, 2 * largest * (2 if half else 4))
    if rounding:
        work = COPIES * min(largest, PART)
    if kahan:
        state += LOST * sum(facts["trained"][model] for model in models)
    paged = own.startswith("paged")
    return Cost(
        state,
        work,
        "the optimizer state is paged: parts of it move to main memory if needed"
        if paged
        else None,
    )


def _name(optimizer: str) -> str:
    """Return the name of an optimizer in the facts: without the module of a class path."""
    own = optimizer.rpartition(".")[2]
    return ALIASES.get(own, own)


def _variant(own: str, given: Mapping[str, Any]) -> str:
    if own == "adafactor" and given.get("beta1") is not None:
        return "adafactor beta1"
    if own == "adacoor" and given.get("state_dtype") == "float32":
        return "adacoor float32"
    return own


def _times(own: str, given: Mapping[str, Any]) -> float:
    if own in ("adam", "adamw") and given.get("amsgrad"):
        return 3 / 2
    if own == "prodigy" and isinstance(step := given.get("slice_p"), int) and step > 1:
        return (2 + 2 / step) / 4  # two states are whole, two are of every so many weights
    return 1
