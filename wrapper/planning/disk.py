"""What a run writes to disk, for what its settings really do, and whether there is room for it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.loras.weights import Header
from kohya_presets.memory import parts, saved
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.problems import Place, Problem, listed, plural
from kohya_presets.sdscripts import scripts
from kohya_presets.training import saves
from kohya_presets.training.settings import Settings
from wrapper.runs.kept import loras, states
from wrapper.system import sizes

BYTES = {"fp16": 2, "bf16": 2, "float": 4}  # of a number, by save_precision
STATE_KEEP = 2  # the patch's default


@dataclass(frozen=True)
class Written:
    """So many files of a kind at once, at the most, and the bytes of each."""

    what: str
    count: int
    each: int

    def __str__(self) -> str:
        return f"{plural(self.count, self.what)} of {sizes.said(self.each)}"


def plan(
    preset: Preset, settings: Settings, base: Header | None = None, *, done: float = 1.0
) -> list[Written]:
    """Return what a run has on disk at its fullest moment; without `base`, that of SDXL itself.

    `done` is the share of the training that is done: before its end, only what is kept on the way.
    With keep = "loras" that are LoRAs, and no more models than wait for theirs to be extracted.
    """
    trains_lora = scripts.makes_lora(preset.script)
    numbers = saved.lora_numbers(settings) if trains_lora else base_numbers(base)
    model = numbers * BYTES.get(settings.train("save_precision") or "", 4)
    only_loras = preset.keep == "loras" and preset.extract is not None
    between, last = _saved(settings, done)
    has_ema, only_ema = map(settings.train, ("enable_ema", "ema_save_only_ema_weights"))
    files = 2 if has_ema and not only_ema else 1  # of a save: the average, and the raw weights
    waiting = min(between * files, loras.MOST + files - 1) if only_loras else between * files
    count = waiting + last * files
    found = [Written("LoRA" if trains_lora else "model", count, model)]
    if state := saved.state_bytes(settings):
        found.append(Written("state", _states(preset, settings), state))
    for table, key in ((preset.extract, "dim"), (preset.resize, "new_rank")):
        if table is not None and done >= 1:
            size = BYTES.get(table.get("save_precision", ""), 4)
            found += [Written("LoRA", 1, lora(base, rank) * size) for rank in _each(table, key)]
    if only_loras and between:
        found += _kept_loras(preset, base, between * files, is_training=done < 1)
    return [written for written in found if written.count and written.each]


def problems(planned: Sequence[Written], runs: Path) -> Iterator[Problem]:
    """Yield a problem if the disk that `runs` lies on has no room for all that is planned."""
    has = free(runs)
    if has < total(planned):
        message = f"the run needs {said(planned)}, but only {sizes.said(has)} are free"
        hint = "Free some space, or choose a folder on another disk with --runs DIR."
        yield Problem("disk", "error", Place(runs), message, hint)


def free(folder: Path) -> int:
    """Return the free bytes of the disk that a folder lies on, or will lie on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def fewer_states(preset: Preset, room: Callable[[Preset], bool]) -> tuple[Preset, str]:
    """Return the preset with as many states as there is `room` for, and what to tell of it.

    A run does without them rather than not start, unless the preset says how many it wants.
    """
    asked = "state_keep" in preset.train or "state_every_minutes" in preset.train
    if states.PATCH not in preset.patches or asked or room(preset):
        return preset, ""
    one = replace(preset, train={**preset.train, "state_keep": 1})
    if room(one):
        return one, "the disk has room for one state of training only, not for two"
    none = replace(preset, train={**preset.train, "state_every_minutes": 0.0})
    if room(none):
        return none, (
            "the disk has no room for states of training: if it is killed, it starts again from "
            "the beginning"
        )
    return preset, ""


def total(planned: Sequence[Written]) -> int:
    """Return the bytes of all together."""
    return sum(written.count * written.each for written in planned)


def said(planned: Sequence[Written]) -> str:
    """Return what is planned, as a person reads it."""
    return f"up to {sizes.said(total(planned))} of disk: {listed(map(str, planned))}"


def base_numbers(base: Header | None = None) -> int:
    """Return how many numbers a base model has; without one, SDXL with its VAE."""
    if base is None:
        return int(sum(parts.facts()["parameters"].values()))
    return sum(math.prod(tensor.shape) for tensor in base.tensors.values())


def lora(base: Header | None, rank: int) -> int:
    """Return how many numbers a LoRA has: of rank r, r * (in + out) for each layer it changes."""
    if base is None:
        return int(rank * sum(parts.facts()["lora"]["linear"].values()))
    total = 0
    for key, tensor in base.tensors.items():
        wide = len(tensor.shape) == 2 and not key.startswith("first_stage_model.")
        if wide and ("transformer" in key) and "embedding" not in key:
            total += min(rank, *tensor.shape) * sum(tensor.shape)
    return total


def _kept_loras(
    preset: Preset, base: Header | None, count: int, *, is_training: bool
) -> Iterator[Written]:
    """Yield the LoRAs of what training saved on the way, and what is resized at this moment."""
    for table, key in ((preset.extract, "dim"), (preset.resize, "new_rank")):
        if table is not None:
            size = BYTES.get(table.get("save_precision", ""), 4)
            each = max(lora(base, rank) * size for rank in _each(table, key))
            if table is (preset.resize or preset.extract):
                yield Written("LoRA", count, each)
            elif is_training:
                yield Written("LoRA", 1, each)


def _saved(s: Settings, done: float) -> tuple[int, int]:
    """Return how many saves of the way there are at once, and whether the last one is there."""
    steps, epochs = s.steps(), s.train("max_train_epochs") or 1
    if done < 1:  # a save at this moment counts
        steps, epochs = int(steps * done) + 1, int(epochs * done) + 1
    count = saves.kept(epochs, s.train("save_every_n_epochs"), s.train("save_last_n_epochs"))
    last = s.train("save_last_n_steps")  # steps back, not a number of files
    every = s.train("save_every_n_steps")
    count += saves.kept(steps, every, None if not last or not every else 1 + last // every)
    return count, int(done >= 1)


def _states(preset: Preset, s: Settings) -> int:
    """Return how many states there are at once, of the patch and of sd-scripts' own."""
    count = 0
    if states.PATCH in preset.patches and s.given("train", "state_every_minutes") != 0:
        count += (s.train("state_keep") or STATE_KEEP) + 1  # the next is written before one goes
    if s.train("save_state"):
        epochs, every = s.train("max_train_epochs") or 1, s.train("save_every_n_epochs")
        last = s.train("save_last_n_epochs_state") or s.train("save_last_n_epochs")
        count += 1 + saves.kept(epochs, every, last)
        steps, back = s.train("save_every_n_steps"), s.train("save_last_n_steps_state")
        back = back or s.train("save_last_n_steps")
        count += saves.kept(s.steps(), steps, None if not back or not steps else 1 + back // steps)
    elif s.train("save_state_on_train_end"):
        count += 1
    return count


def _each(table: Table, key: str) -> list[Any]:
    ranks = table.get(key, 4)
    return ranks if isinstance(ranks, list) else [ranks]
