"""Foresee what a training takes, from its preset and images; nothing is written or downloaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from kohya_presets.dataset.collection import Collection
from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from kohya_presets.memory import estimate
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import plural
from kohya_presets.renting import pace as paces
from kohya_presets.renting.offer import Held, Needs
from kohya_presets.training import settings as settings_of
from kohya_presets.training import spread
from kohya_presets.training.settings import Settings
from patches import registry
from wrapper.planning import disk, subjects, wishes
from wrapper.planning import request as requests
from wrapper.planning.request import Request
from wrapper.screen.talk import Talk
from wrapper.system import paths

QUARTERS = (0.25, 0.5, 0.75)
AROUND = 9_000_000_000  # bytes: an environment with CUDA up to 7 GB, and what its download leaves


@dataclass(frozen=True)
class Foreseen:
    """What a training takes, its preset with all that `train` adds, and its images."""

    needs: Needs
    preset: Preset
    images: Collection


def of(
    request: Request,
    data: Path,
    talk: Talk,
    *,
    base: Path | None = None,
    pace: float | None = None,
    rate: float | None = None,
) -> Foreseen:
    """Return what `train` would take, with the checks of `train --dry-run` and `dataset check`.

    `base` is the base model's file, if it is here: without it, it is taken to be as large as SDXL.
    `pace` is in steps per second, `rate` the cost of an hour.

    Raises:
        PresetError: the preset has errors.
        ProblemsError: the images have some.
        UserError: there are no images.
    """
    request = wishes.granted(request, talk, data=data)
    asked = requests.validate(request, talk)
    images = requests.images(request, data.expanduser().resolve(), talk)
    preset = wishes.settled(request.preset)
    release = asked or subjects.known(request.release)
    known = settings_of.of_preset(
        preset,
        release,
        registry.additions(paths.user_patches()),
        images=len(images.items),
        processes=request.spread.processes,
    )
    seen = sum(epoch.seen for epoch in images.epochs.values())
    if not seen:
        raise UserError(f"{data} has no images to train", hint="Give the folder of the images.")
    known = replace(known, images=max(1, seen // (known.dataset("num_repeats") or 1)))
    header = weights.read(base) if base is not None and base.is_file() else None
    memory = estimate.of(known)
    around = (
        ("sd-scripts and its environment, at most", AROUND),
        ("base model", disk.base_numbers(header) * disk.BYTES["fp16"]),
        ("images and captions", _size(images)),
    )
    used = [subset.repeats for n, subset in enumerate(images.subsets) if n not in images.unused]
    needs = Needs(
        preset=preset.name,
        release=release,
        images=len(images.items),
        repeats=tuple(used),
        seen=seen,
        length=images.length(processes=request.spread.processes),
        conditions=paces.conditions(known),
        memory=memory,
        meant_gib=preset.vram_gib,
        held=tuple(_held(preset, known, header, sum(size for _, size in around))),
        around=around,
        spread=request.spread,
        step_images=spread.images(known),
        pace=pace,
        rate=rate,
    )
    return Foreseen(needs, preset, images)


def _held(
    preset: Preset, known: Settings, header: weights.Header | None, around: int
) -> list[Held]:
    """Return what is on the disk before training, at its quarters, and when all is made."""
    moments = [Held("before training", 0.0, around)]
    for done in (*QUARTERS, 1.0):
        written = disk.plan(preset, known, header, done=done)
        counts: Counter[str] = Counter()
        for one in written:
            counts[one.what] += one.count
        parts = ", ".join(plural(count, what) for what, count in counts.items())
        when = f"after {done:.0%} of it" if done < 1 else "at the end"
        told = f"{when}: {parts}" if parts else when
        moments.append(Held(told, done, around + disk.total(written)))
    return moments


def _size(images: Collection) -> int:
    files = [item.file for item in images.items]
    files += [item.caption.file for item in images.items if item.caption]
    return sum(file.stat().st_size for file in files if file.is_file())
