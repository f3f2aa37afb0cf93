"""EMA for sdxl_train.py: what the patch's inserted calls do.

Everything but those calls is wrapped at run time, through names that every release of sd-scripts
has: its two functions that write a model, and the pipeline that it samples with.

Options and file names are those of sd-scripts' pull request 893 (closed, never merged); two are
new. What differs: the average moves once per real optimizer step, is saved in the state folder,
and the state never holds it in place of the weights.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import kp_average
from .kp_average import Average

STATE = "ema.safetensors"
RAW = "-non-EMA"
IN_BACKWARD = ("fused_backward_pass", "steps_in_backward")
WAYS = {"DEEPSPEED": "DeepSpeed", "FSDP": "FSDP", "MEGATRON_LM": "Megatron-LM", "TP": "TP"}
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument_group("EMA (kohya-presets)").add_argument
    add("--enable_ema", action="store_true", help="average the weights; save and sample that")
    add("--ema_decay", type=float, default=0.999, help="largest decay, in [0, 1)")
    add(
        "--ema_exp_beta",
        type=float,
        default=15.0,
        help="decay * (1 - exp(-beta * step / max_train_steps)); 0: (1 + step) / (10 + step)",
    )
    add("--ema_save_only_ema_weights", action="store_true", help="do not save the raw weights too")
    add("--ema_device", choices=("gpu", "cpu"), default="gpu", help="where the average lives")
    add("--ema_update_every", type=int, default=1, help="steps; the decay is for one all the same")


class Off:
    """What a training without EMA gets: nothing happens."""

    def start(self) -> None:
        """Do nothing."""

    def update(self) -> None:
        """Do nothing."""


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work, before anything is loaded.

    Raises:
        ValueError: an option has an impossible value, or no process would have all weights.
    """
    if not args.enable_ema:
        return
    if shards := sharding(args):
        raise ValueError(
            f"--enable_ema does not work with {shards}: no process has all weights to average. "
            f"Leave one of the two out"
        )
    if not 0 <= args.ema_decay < 1:
        raise ValueError(f"--ema_decay must be at least 0 and below 1, got {args.ema_decay}")
    if args.ema_update_every < 1:
        raise ValueError(f"--ema_update_every must be 1 or more, got {args.ema_update_every}")
    if args.ema_device not in ("gpu", "cpu"):  # a TOML file is not held to the choices
        raise ValueError(f"--ema_device must be gpu or cpu, got {args.ema_device!r}")


def sharding(args: argparse.Namespace) -> str | None:
    """Return what spreads the weights over several processes, or None if each has them all."""
    if getattr(args, "deepspeed", False):
        return "--deepspeed"
    # What accelerate's launcher tells the script that it starts.
    for way, name in WAYS.items():
        if os.environ.get(f"ACCELERATE_USE_{way}", "").lower() == "true":
            return f"accelerate's {name}"
    return None


def prepare(args: argparse.Namespace, accelerator: Any, models: Sequence[nn.Module]) -> Ema | Off:
    """Return the average of what is trained of `models`, hooked into saving, sampling and states.

    To be called when everything is prepared and nothing is resumed yet. With several processes
    each has an average of its own: each of them samples.
    """
    if not args.enable_ema:
        return Off()
    average = Average(models, device="cpu" if args.ema_device == "cpu" else None)
    ema = Ema(args, accelerator, average)
    accelerator.register_save_state_pre_hook(ema.save_state)
    accelerator.register_load_state_pre_hook(ema.load_state)
    _wrap_saving(ema)
    _wrap_sampling(ema)
    ema.tell()
    return ema


class Ema:
    """The average of one training, and what it has saved beside it."""

    def __init__(self, args: argparse.Namespace, accelerator: Any, average: Average) -> None:
        self.args, self.accelerator, self.average = args, accelerator, average
        self.steps = 0  # optimizer steps seen, over all resumes
        # What was saved of the average -> its raw weights. One process saves, and deletes.
        self._raw = dict(_pairs(args)) if accelerator.is_main_process else {}
        self._waiting: set[int] = set()  # optimizers that wait for an update before they step

    def start(self) -> None:
        """Begin at the weights as they are now, unless a resumed state had an average."""
        if not self.average.tensors:
            self.average.start()

    def update(self) -> None:
        """Count one optimizer step, and move the average if it is its turn."""
        self.drop_orphans()
        if self.accelerator.optimizer_step_was_skipped:  # fp16: the gradients overflowed
            return
        self.steps += 1
        if self.steps % self.args.ema_update_every == 0:
            self._let_optimizers_wait()
            self.average.update(self._decay(self.steps) ** self.args.ema_update_every)
            # Steps inside of the backward pass, sd-scripts' or the patch fused-step's, ask nobody.
            if any(getattr(self.args, name, False) for name in IN_BACKWARD):
                self.average.wait()

    def save_state(self, models: Any, weights: Any, folder: str) -> None:
        """Write the average into a state folder (accelerate calls this)."""
        if self.accelerator.is_main_process:
            from safetensors.torch import save_file

            Path(folder).mkdir(parents=True, exist_ok=True)
            metadata = {"steps": str(self.steps)}
            save_file(self.average.state(), str(Path(folder) / STATE), metadata)

    def load_state(self, models: Any, folder: str) -> None:
        """Read the average from a state folder, if that has one (accelerate calls this)."""
        file = Path(folder) / STATE
        if not file.exists():
            logger.warning("%s has no average: it starts at the resumed weights", folder)
            return
        from safetensors import safe_open

        with safe_open(str(file), "pt") as opened:
            self.steps = int((opened.metadata() or {}).get("steps", 0))
            self.average.load({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118 - no dict

    def save(self, original: Callable[..., Any], file: str, *rest: Any, **named: Any) -> Any:
        """Call what writes a model twice: for the raw weights, and for the average."""
        self.drop_orphans()
        if not self.args.ema_save_only_ema_weights:
            raw = raw_name(Path(file), self.args.output_name)
            original(str(raw), *rest, **named)
            self._raw[Path(file)] = raw
        with self.average.in_place_of_weights():
            return original(file, *rest, **named)

    def drop_orphans(self) -> None:
        """Delete raw weights whose averaged twin sd-scripts has deleted (--save_last_n_...)."""
        for file, raw in list(self._raw.items()):
            if file.exists():
                continue
            if raw.is_dir():
                shutil.rmtree(raw)
            else:
                raw.unlink(missing_ok=True)
            del self._raw[file]

    def tell(self) -> None:
        """Log what is averaged, and whether that can learn anything in the planned steps."""
        if not self.accelerator.is_main_process:
            return
        count = sum(p.numel() for p in self.average.parameters.values())
        where, processes = self.args.ema_device, self.accelerator.num_processes
        each = f", in each of {processes} processes" if processes > 1 else ""
        self.accelerator.print(f"EMA of {count} weights, {count * 4 / 1e9:.1f} GB on {where}{each}")
        steps = self.args.max_train_steps
        left = kp_average.left_of_the_start(
            steps, decay=self.args.ema_decay, beta=self.args.ema_exp_beta
        )
        if left > 0.5:
            logger.warning(
                "after %d steps, %.0f %% of the average would still be the weights it began with: "
                "take an --ema_decay of %.4g or less, or --ema_exp_beta=15",
                *(steps, left * 100, 0.05 ** (1 / steps)),
            )

    def _decay(self, step: int) -> float:
        return kp_average.decay_at(
            step,
            decay=self.args.ema_decay,
            beta=self.args.ema_exp_beta,
            steps=self.args.max_train_steps,
        )

    def _let_optimizers_wait(self) -> None:
        # With fused_optimizer_groups, further optimizers are prepared after us.
        for optimizer in self.accelerator._optimizers:
            inner = getattr(optimizer, "optimizer", optimizer)
            if id(inner) not in self._waiting and isinstance(inner, torch.optim.Optimizer):
                inner.register_step_pre_hook(lambda *_: self.average.wait())
                self._waiting.add(id(inner))


def _pairs(args: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    """Yield what an earlier process, that is resumed now, has saved: (average, raw weights)."""
    folder = Path(args.output_dir or "")
    if args.output_name and folder.is_dir():
        start = args.output_name + RAW
        for raw in (found for found in folder.iterdir() if found.name.startswith(start)):
            file = raw.with_name(args.output_name + raw.name[len(start) :])
            if file.exists():
                yield file, raw


def raw_name(file: Path, output_name: str | None) -> Path:
    """Return where the raw weights beside an averaged `file` (or folder) go."""
    if output_name and file.name.startswith(output_name):
        return file.with_name(output_name + RAW + file.name[len(output_name) :])
    return file.with_name(file.stem + RAW + file.suffix)


def _wrap_saving(ema: Ema) -> None:
    from library import sdxl_model_util

    for name in ("save_stable_diffusion_checkpoint", "save_diffusers_checkpoint"):
        original = getattr(sdxl_model_util, name)
        wrapper = functools.partial(ema.save, original)
        setattr(sdxl_model_util, name, functools.wraps(original)(wrapper))


def _wrap_sampling(ema: Ema) -> None:
    """Sample the average. sample_images is called at each step, and mostly has nothing to do."""
    from library import sdxl_train_util
    from library.sdxl_lpw_stable_diffusion import SdxlStableDiffusionLongPromptWeightingPipeline

    pipeline: Any = SdxlStableDiffusionLongPromptWeightingPipeline
    sample, make = sdxl_train_util.sample_images, pipeline.__init__
    sampling: list[ExitStack] = []

    @functools.wraps(sample)
    def sample_images(*args: Any, **named: Any) -> Any:
        with ExitStack() as stack:
            sampling.append(stack)
            try:
                return sample(*args, **named)
            finally:
                sampling.pop()

    @functools.wraps(make)
    def init(self: Any, *args: Any, **named: Any) -> None:
        make(self, *args, **named)
        if sampling:
            sampling[-1].enter_context(ema.average.computing())

    sdxl_train_util.sample_images = sample_images
    pipeline.__init__ = init
