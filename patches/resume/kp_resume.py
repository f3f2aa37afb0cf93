"""Exact continuation for sdxl_train.py and the LoRA scripts: its options, and what they need."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import kp_position, kp_states, kp_together
from .kp_position import Position
from .kp_run import Run
from .kp_training import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument_group("states by the clock (kohya-presets)").add_argument
    add(
        "--state_every_minutes",
        type=float,
        default=0.0,
        help="save a state this often, and on SIGTERM and SIGUSR1, and continue exactly; 0: off",
    )
    add("--state_keep", type=int, default=2, help="number of these states to keep")
    add("--state_dir", help="folder for these states; default: OUTPUT_DIR/OUTPUT_NAME-states")


class Off:
    """What a training gets that saves no state and continues none of ours."""

    def start(self, found: Mapping[str, Any]) -> tuple[int, Any]:
        """Begin where the script does."""
        return found["global_step"], found["train_dataloader"]

    def has_done(self, epoch: int) -> bool:
        """Skip nothing."""
        return False

    def after_batch(self, epoch: int, step: int) -> None:
        """Do nothing."""


def begin(args: argparse.Namespace) -> Run | Off:
    """Check the options, find the state to continue from, choose a seed if there is none.

    Raises:
        ValueError: an option has an impossible value, or another one makes states useless.
    """
    if args.state_every_minutes < 0:
        raise ValueError(f"--state_every_minutes must be 0 or more: {args.state_every_minutes}")
    if args.state_keep < 1:
        raise ValueError(f"--state_keep must be 1 or more, got {args.state_keep}")
    timed, first = bool(args.state_every_minutes), os.environ.get("RANK", "0") == "0"
    folder = Path(args.state_dir or Path(args.output_dir or ".", _name(args) + "-states"))
    if timed and first:
        kp_states.clear_up(folder)
    ours = None
    if args.resume and not getattr(args, "resume_from_huggingface", False):
        # A folder of states stands for the newest one in it.
        args.resume = str(kp_states.newest(Path(args.resume)) or args.resume)
        ours = kp_position.read(Path(args.resume), int(os.environ.get("RANK", "0")))
    saves = args.save_state or getattr(args, "save_state_on_train_end", False)
    if not (timed or ours):
        skips = getattr(args, "skip_until_initial_step", False)  # the script changes the loader
        spread = getattr(args, "deepspeed", False) or kp_together.shards()  # never tried
        if skips or spread or not saves:
            return Off()
    else:
        _require_one_optimizer(args)
        _require_whole_weights()
        if ours:
            _require_as_many(ours)
        _choose_seed(args, ours, timed=timed)
        _count_instead(args, ours)
    quiet = bool(ours.setting["quiet"] if ours else timed)
    if quiet:
        _keep_logs_from_drawing()
    if timed and getattr(args, "persistent_data_loader_workers", False):
        args.persistent_data_loader_workers = False
        say("persistent_data_loader_workers is off: a run with it cannot be continued exactly")
    if args.resume and (timed or ours):
        args.sample_at_first = False
    return Run(args, folder, ours, timed=timed, quiet=quiet)


def _name(args: argparse.Namespace) -> str:
    return str(args.output_name or "last")


def _require_one_optimizer(args: argparse.Namespace) -> None:
    for option, why in (
        ("fused_optimizer_groups", "sd-scripts resumes the first of its optimizers only"),
        ("deepspeed", "it was never tried"),
    ):
        if getattr(args, option, False):
            raise ValueError(
                f"--{option} cannot be continued exactly: {why}. "
                f"Leave out --{option}, or --state_every_minutes and a --resume of its states"
            )


def _require_whole_weights() -> None:
    if found := kp_together.shards():
        raise ValueError(
            f"--state_every_minutes and a --resume of its states do not work with {found}: no "
            "process has all weights, and it was never tried. Leave one of the two out"
        )


def _require_as_many(ours: Position) -> None:
    """Raise ValueError unless there are as many processes as saved the state."""
    was, now = ours.setting.get("processes"), kp_together.count()
    if was is not None and was != now:
        raise ValueError(
            f"the state was saved by a training of {_processes(was)}, and this one has "
            f"{_processes(now)}: steps, schedule and the names of weights would be others. "
            f"Continue with {_processes(was)}, or begin a training with the last saved model"
        )


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


def _count_instead(args: argparse.Namespace, ours: Position | None) -> None:
    """Turn off the counting that LoRA scripts have from v0.9 on, which is not exact.

    Raises:
        ValueError: the options ask for another step than the state's.
    """
    if not hasattr(args, "initial_step"):
        return
    if not ours and ((args.initial_step or 0) > 0 or (args.initial_epoch or 1) > 1):
        raise ValueError(
            "--initial_step and --initial_epoch cannot be continued exactly. Leave them out: with "
            "--state_every_minutes, the step is that of the state in --resume"
        )
    args.initial_epoch, args.skip_until_initial_step = None, False
    # With 0, the step that the state was saved at is not taken from `train_state.json`.
    args.initial_step = 0 if args.resume else None


def _keep_logs_from_drawing() -> None:
    """Give rich a generator of its own, where the scripts log with it.

    It draws from Python's for each style that a process shows for the first time, so a log line
    would change the training, and change it otherwise in the process that goes on.
    """
    with contextlib.suppress(ImportError):
        from rich import style

        style.randint = random.Random(0).randint


def _choose_seed(args: argparse.Namespace, ours: Position | None, *, timed: bool) -> None:
    """Set the seed of the run that is continued, or any, where none is given."""
    if args.seed is None and ours:
        args.seed = ours.setting["seed"]
    if args.seed is None and timed:
        if kp_together.count() > 1:
            raise ValueError("--state_every_minutes with several processes needs a --seed")
        args.seed = random.SystemRandom().randrange(2**31)
        say(f"--seed is {args.seed}: one is needed to continue exactly, and none was given")
