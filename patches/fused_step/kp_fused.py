"""Steps inside of the backward pass, and rounding: options, and what they cannot do.

sd-scripts has `--fused_backward_pass` from v0.9.0 on, for Adafactor, and asserts that. For any
other optimizer the option is turned off for sd-scripts' own code, and done here.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .kp_alone import Alone
from .kp_in_backward import HOOK, InBackward, part, used_twice
from .kp_kahan import Kahan, forget
from .kp_rounding import Rounding

FUSED = "--fused_backward_pass"
ROUNDING = "--stochastic_rounding"
WAYS = {"DEEPSPEED": "DeepSpeed", "FSDP": "FSDP", "MEGATRON_LM": "Megatron-LM", "TP": "TP"}
KAHAN = "--kahan_summation"
ADAFACTOR = Path(__file__).with_name("adafactor_fused.py")  # sd-scripts' own, from v0.9.0 on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that the release does not have."""
    add = parser.add_argument_group("step in the backward pass (kohya-presets)").add_argument
    if FUSED not in parser._option_string_actions:
        add(FUSED, action="store_true", help="step each weight inside of the backward pass")
    add(ROUNDING, action="store_true", help="round bfloat16 weights and state by chance")
    add(KAHAN, action="store_true", help="keep what rounding takes from bfloat16 weights")


class Off:
    """What a training without these options gets: the script's own steps."""

    def start(self, accelerator: Any, optimizer: Any, *_: Any) -> None:
        """Drop what a resumed training with Kahan summation has left, which goes out of date."""
        forget(getattr(optimizer, "optimizer", optimizer))


def begin(args: argparse.Namespace) -> Steps | Off:
    """Check the options, and take `--fused_backward_pass` away from sd-scripts' own code.

    Adafactor's is left to sd-scripts, where it has that.

    Raises:
        ValueError: another option goes with none of this.
    """
    fused, asked = bool(args.fused_backward_pass), _asked(args)
    if args.stochastic_rounding and args.kahan_summation:
        raise ValueError(_BOTH)
    args.steps_in_backward = fused  # which kp_ema asks
    if (args.optimizer_type or "").lower() == "adafactor":
        if asked:
            raise ValueError(
                f"{asked} does not work with Adafactor: sd-scripts rounds in its own way there, "
                f"from v0.10.0 on, with {FUSED}"
            )
        if fused and not ADAFACTOR.exists():
            raise ValueError(f"{FUSED} with Adafactor needs sd-scripts v0.9.0 or newer")
        if fused and int(os.environ.get("WORLD_SIZE", "1")) > 1:  # which sd-scripts lets happen
            raise ValueError(_PROCESSES)
        return Off()
    if not (fused or asked):
        return Off()
    for refused in _refused(args) if fused else _refused_rounding(args):
        raise ValueError(refused)
    args.kp_taken = ("fused_backward_pass",) if fused else ()  # whoever asks what was used
    args.fused_backward_pass = False
    return Steps(args, fused=fused, asked=asked)


class Steps:
    """The steps of one training."""

    def __init__(self, args: argparse.Namespace, *, fused: bool, asked: str | None) -> None:
        self._args, self._fused, self._asked = args, fused, asked

    def start(
        self, accelerator: Any, optimizer: Any, models: Sequence[nn.Module], current_step: Any
    ) -> None:
        """Take over the steps of an optimizer, as accelerate has prepared it.

        To be called when everything is prepared and resumed. `current_step.value` is the number of
        steps done, as the script's data sets see it.

        Raises:
            ValueError: the optimizer, or how accelerate was started, goes with none of this.
        """
        self._check(accelerator, models)
        inner = getattr(optimizer, "optimizer", optimizer)
        rounding = Rounding(self._args.seed or 0) if self._asked else None
        sums = Kahan(inner, rounding) if rounding and self._asked == KAHAN else None
        alone = Alone(inner, sums or rounding, self._asked or ROUNDING)
        if not sums:
            forget(inner)
        places = [(p, n) for n, group in enumerate(inner.param_groups) for p in group["params"]]
        parameters = [p for p, _ in places]

        def step(p: Tensor, number: int) -> None:
            if rounding:
                rounding.begin(current_step.value, number, p.device)
            if sums:
                sums.begin(p)
            alone.step(p, places[number][1])

        def step_all(*_: Any, **__: Any) -> None:
            if accelerator.sync_gradients:
                for number, p in enumerate(parameters):
                    if p.grad is not None:
                        step(p, number)

        inner.step()  # of nothing: a schedule warns where none came before its own step
        if self._fused:
            part(parameters)
            steps = InBackward(
                step,
                parameters,
                whole=lambda: bool(accelerator.sync_gradients),
                max_norm=self._args.max_grad_norm,
            )
            optimizer.step = steps.end
        else:
            optimizer.step = step_all
        self._tell(accelerator, inner, parameters)

    def _check(self, accelerator: Any, models: Sequence[nn.Module]) -> None:
        if getattr(accelerator, "scaler", None) is not None:
            raise ValueError(_FP16)
        if not self._fused:
            return
        if accelerator.num_processes > 1:
            raise ValueError(_PROCESSES)
        if getattr(self._args, "gradient_checkpointing", False) and (count := used_twice(models)):
            raise ValueError(
                f"{FUSED} does not work with --gradient_checkpointing here: {count} weights are "
                "used by several layers, and get their gradients in parts"
            )

    def _tell(self, accelerator: Any, inner: Any, parameters: Sequence[Tensor]) -> None:
        # Not by logging: sd-scripts does that with rich, which draws from the training's random
        # numbers for each style that it shows for the first time.
        say = accelerator.print
        if self._fused:
            say(f"{type(inner).__name__} steps each weight inside of the backward pass")
            if self._args.max_grad_norm:
                say("  each gradient is clipped by itself, not all of them together")
            if accelerator.gradient_accumulation_steps > 1:
                say("  with gradient_accumulation_steps, that saves no memory")
        if self._asked:
            count = sum(p.numel() for p in parameters if p.dtype == torch.bfloat16)
            how = "summed with what they lose" if self._asked == KAHAN else "rounded by chance"
            say(f"  {count} weights are bfloat16, and {how}")
            if not count:
                say(f"  {self._asked} has no weights to round: use --full_bf16")
        if self._asked == KAHAN and getattr(inner, "compiled", False):
            say(f"  AdaCoor's compiled=True has no effect with {KAHAN}")


_FP16 = (
    f"{FUSED}, {ROUNDING} and {KAHAN} do not work with fp16, whose gradients are scaled, and can "
    "only be judged when all of them are there. Use --mixed_precision bf16"
)
_BOTH = (
    f"{KAHAN} and {ROUNDING} are two ways to write the weights: leave one of them out. {KAHAN} "
    "rounds the optimizer's state by chance as well"
)
_PROCESSES = (
    f"{FUSED} does not work with several processes: each would step by its own gradients, before "
    "these are averaged. Use one process, or leave the option out"
)


def _asked(args: argparse.Namespace) -> str | None:
    """Return the option that says how weights are rounded, if one does."""
    if args.kahan_summation:
        return KAHAN
    return ROUNDING if args.stochastic_rounding else None


def _refused_rounding(args: argparse.Namespace) -> Iterator[str]:
    """Yield what keeps a training from being rounded by us."""
    precision = args.mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION")
    if precision == "fp16" or getattr(args, "full_fp16", False):
        yield _FP16
    which = FUSED if args.fused_backward_pass else _asked(args)
    for option in ("deepspeed", "fused_optimizer_groups"):
        if getattr(args, option, None):
            yield f"{which} does not work with --{option}. Leave one of the two out"
    for way, name in WAYS.items():
        # What accelerate's launcher tells the script that it starts.
        if os.environ.get(f"ACCELERATE_USE_{way}", "").lower() == "true":
            yield (
                f"{which} does not work with accelerate's {name}, which spreads the weights over "
                "processes. Leave one of the two out"
            )


def _refused(args: argparse.Namespace) -> Iterator[str]:
    """Yield what keeps a training from stepping inside of the backward pass."""
    yield from _refused_rounding(args)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        yield _PROCESSES
    if not hasattr(Tensor, HOOK):
        yield f"{FUSED} needs torch 2.1 or newer, found {torch.__version__}"
