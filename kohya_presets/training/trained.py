"""What one training trains: which parts of the model, at which rates, by which optimizer.

One value, computed once from the settings; rules, memory estimate and manifests use it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kohya_presets.sdscripts import optimizers, scripts

PARTS = ("unet", "text_encoder1", "text_encoder2")
UNET, TEXT_ENCODER_1, TEXT_ENCODER_2 = PARTS
FREE = "schedule-free"  # the optimizer takes no schedule: sd-scripts looks at its name

Option = Callable[[str], Any]  # from a training option's name to its value in effect; None: unknown


@dataclass(frozen=True)
class Training:
    """The learning rate of each part that is trained, the optimizer, and the schedule in effect.

    `optimizer` is in lower case, as sd-scripts compares it; `optimizer_args` are without those that
    cannot be read. A rate is None where it is given and malformed. `schedule` is the name, or the
    class of `lr_scheduler_type`, "adafactor" for Adafactor's own, or `FREE`.
    """

    rates: Mapping[str, float | None]
    optimizer: str
    optimizer_name: str  # as a person writes it
    optimizer_args: Mapping[str, Any]
    schedule: str
    sets_rate: bool = False  # Adafactor with its own step size: the rate that is given is not used

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are trained, in the order of `PARTS`."""
        return tuple(self.rates)

    @property
    def text_encoders(self) -> tuple[bool, bool]:
        """Which of the two text encoders are trained."""
        return TEXT_ENCODER_1 in self.rates, TEXT_ENCODER_2 in self.rates


def of(script: str, option: Option) -> Training:
    """Return what `script` trains with these options."""
    rates = _lora_rates(script, option) if scripts.makes_lora(script) else _rates(option)
    name, args = _optimizer(option), arguments(option("optimizer_args"))
    optimizer, known = name.lower(), optimizers.named(name)
    own = optimizer == "adafactor" and bool(
        args.get("relative_step", True) or args.get("warmup_init", False)
    )
    schedule = str(option("lr_scheduler_type") or option("lr_scheduler") or "constant")
    if own and not option("lr_scheduler_type"):
        schedule = "adafactor"
    if optimizer.endswith("schedulefree"):
        schedule = FREE
    return Training(rates, optimizer, known.name if known else name, args, schedule, own)


def arguments(pairs: Any) -> dict[str, Any]:
    """Return `optimizer_args` or their like as sd-scripts reads them, without malformed ones."""
    split = (str(item).split("=") for item in pairs or ())
    return {pair[0].strip(): literal(pair[1].strip()) for pair in split if len(pair) == 2}


def literal(text: str) -> Any:
    """Return the value of a Python literal, or the text itself if it is not one."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _rates(option: Option) -> dict[str, float | None]:
    """Return the rates of a fine-tune: 0 means that a part is not trained.

    sdxl_train.py, train: a text encoder without a rate of its own has the U-Net's. v0.7.0 knows
    neither the two rates nor the 0, and trains all.
    """
    rates = {UNET: option("learning_rate")}
    if option("train_text_encoder"):
        for part, key in (
            (TEXT_ENCODER_1, "learning_rate_te1"),
            (TEXT_ENCODER_2, "learning_rate_te2"),
        ):
            own = option(key)
            rates[part] = rates[UNET] if own is None else own
    return {part: rate for part, rate in rates.items() if rate != 0}


def _lora_rates(script: str, option: Option) -> dict[str, float | None]:
    """Return the rates of a LoRA: each part's own, else the common one (train_network.py)."""
    common, own = option("learning_rate"), option("text_encoder_lr")
    encoders = own if isinstance(own, list) else [own]
    rates: dict[str, float | None] = {}
    if not option("network_train_text_encoder_only"):
        unet = option("unet_lr")
        rates[UNET] = common if unet is None else unet
    if not option("network_train_unet_only"):
        both = (TEXT_ENCODER_1, TEXT_ENCODER_2) if scripts.is_sdxl(script) else (TEXT_ENCODER_1,)
        for number, part in enumerate(both):
            rate = encoders[min(number, len(encoders) - 1)] if encoders else None
            rates[part] = common if rate is None else rate
    return rates


def _optimizer(option: Option) -> str:
    name = option("optimizer_type") or ""
    name = name or ("AdamW8bit" if option("use_8bit_adam") else "")
    name = name or ("Lion" if option("use_lion_optimizer") else "AdamW")
    return str(name)
