"""Where a training stands, written into a state and read from one.

Runs inside sd-scripts: torch, safetensors and the standard library only, Python 3.10.

A state of an unpatched sd-scripts has none of it; what its folder's name says is used then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from . import kp_states
from .kp_generators import Snapshot

MOMENTS = ("epoch_start", "before_last", "now")
_LOSSES = "losses"
_STEP = re.compile(r".*-step(\d+)-state")
_EPOCH = re.compile(r".*-(\d+)-state")
# What must be as it was for the same images to come in the same order -> how it is called.
_SAME = {
    "seed": "the seed",
    "dataset_seeds": "the seed of the images",
    "batches_per_epoch": "the number of batches in an epoch",
    "workers": "the number of data loader workers",
    "persistent": "whether data loader workers are kept",
    "accumulation": "gradient_accumulation_steps",
    "processes": "the number of processes",
    "torch": "the version of torch",
}
_QUIET = "quiet"  # whether log lines drew no random numbers


@dataclass(frozen=True)
class Position:
    """A place between two steps.

    `moments` holds the generators at the beginning of the epoch, before its last batch was asked
    for, and now. It is empty where they are not known.
    """

    step: int  # optimizer steps done
    epoch: int  # from 0
    batches: int  # taken of this epoch
    finished: bool  # the epoch is over, what follows it is done
    moments: Mapping[str, Snapshot] = field(default_factory=dict)
    losses: Mapping[str, Tensor] = field(default_factory=dict)  # of each running mean
    setting: Mapping[str, Any] = field(default_factory=dict)  # what `differences` compares

    def manifest(self) -> dict[str, Any]:
        """Return what of it goes into a state's manifest."""
        own = {"step": self.step, "epoch": self.epoch + 1, "batches": self.batches}
        return {**own, "epoch_finished": self.finished, **self.setting}

    def save(self, state: Path, rank: int) -> None:
        """Write a process's generators into a state's folder."""
        tensors = {f"{m}.{name}": t for m in self.moments for name, t in self.moments[m].items()}
        tensors |= {f"{_LOSSES}.{name}": t for name, t in self.losses.items()}
        beside = state / f"{_file(rank)}.part"
        save_file(tensors, str(beside))
        beside.replace(state / _file(rank))

    def differences(self, setting: Mapping[str, Any]) -> list[str]:
        """Return in plain words what keeps a training with `setting` from going on exactly."""
        found = []
        for key, called in _SAME.items():
            was, now = self.setting.get(key), setting.get(key)
            if was != now:
                found.append(f"{called} was {_said(was)} and is {_said(now)}")
            elif key == "seed" and was is None:
                found.append("the run had no --seed")
            elif key == "persistent" and was and setting.get("workers"):
                found.append("its data loader workers were kept between epochs")
        if not self.setting.get(_QUIET):
            found.append("log lines of its run drew random numbers (not with state_every_minutes)")
        if not self.moments:
            found.append("the random numbers of this process are not in the state")
        return found


def read(state: Path, rank: int) -> Position | None:
    """Return the position in a state that this patch wrote, or None if another program did.

    Raises:
        ValueError: it cannot be read.
    """
    manifest = kp_states.read(state)
    if manifest is None:
        return None
    file = state / _file(rank)
    tensors = load_file(str(file)) if file.exists() else {}
    moments: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        moment, _, name = key.partition(".")
        moments.setdefault(moment, {})[name] = tensor
    losses = moments.pop(_LOSSES, {})
    try:
        return Position(
            step=int(manifest["step"]),
            epoch=int(manifest["epoch"]) - 1,
            batches=int(manifest["batches"]),
            finished=bool(manifest["epoch_finished"]),
            moments=moments if set(moments) == set(MOMENTS) else {},
            losses=losses,
            setting={key: manifest.get(key) for key in (*_SAME, _QUIET)},
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{state / kp_states.MANIFEST} is damaged: {error!r}") from None


def guess(state: Path, batches_per_epoch: int, accumulation: int) -> Position | None:
    """Return the position of a state of an unpatched sd-scripts, or None.

    By its folder's name, or by the file that LoRA scripts write into it from v0.9 on.
    """
    steps_per_epoch = -(-batches_per_epoch // accumulation)
    if found := _EPOCH.fullmatch(state.name):
        epochs = int(found[1])
        return Position(epochs * steps_per_epoch, epochs - 1, batches_per_epoch, finished=True)
    found = _STEP.fullmatch(state.name)
    step = int(found[1]) if found else _written_step(state)
    if step is None:
        return None
    epoch, rest = divmod(step, steps_per_epoch)
    return Position(step, epoch, rest * accumulation, finished=False)


def _written_step(state: Path) -> int | None:
    try:
        return int(json.loads((state / "train_state.json").read_text("utf-8"))["current_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(rank: int) -> str:
    return f"kp_generators-{rank}.safetensors"


def _said(value: Any) -> str:
    return "not set" if value is None else str(value)
