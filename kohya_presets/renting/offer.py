"""What a training takes, before it is paid for: steps, memory, disk, hours and money, as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kohya_presets.dataset.sizes.steps import Length
from kohya_presets.memory import estimate
from kohya_presets.memory.estimate import GIB, Estimate
from kohya_presets.problems import plural
from kohya_presets.renting import gpus, pace
from kohya_presets.renting.gpus import Gpu
from kohya_presets.renting.pace import Conditions, Measured
from kohya_presets.training.spread import ALONE, Spread

UNKNOWN = "unknown"
GB = 1e9  # as disks are sold
NEARLY = 0.95  # of the memory: the estimate does not count what is lost between its blocks


@dataclass(frozen=True)
class Held:
    """What is on the disk at one moment, in bytes; `done` is the share of the training."""

    when: str
    done: float
    size: int


@dataclass(frozen=True)
class Offer:
    """A GPU, and what the training takes on it. `fits` is None where the memory is unknown."""

    gpu: Gpu
    fits: bool | None
    measured: Measured | None
    hours: float | None
    cost: float | None


@dataclass(frozen=True)
class Needs:
    """What a training takes. Sizes are in bytes, `pace` in steps per second, `rate` an hour's cost.

    `seen` are the pictures of an epoch, repeats counted; `spread` says how many GPUs train;
    `step_images` are those that a step sees at most, of all GPUs together;
    `around` is the disk that everything beside the run takes; `held` what is on it, moment by
    moment, with that.
    """

    preset: str
    release: str
    images: int
    repeats: tuple[int, ...]
    seen: int
    length: Length
    conditions: Conditions
    memory: Estimate | None
    meant_gib: float | None
    held: tuple[Held, ...]
    around: tuple[tuple[str, int], ...] = ()
    spread: Spread = ALONE
    step_images: int = 1
    pace: float | None = None
    rate: float | None = None

    @property
    def gib(self) -> float | None:
        """The GPU memory that it needs, in GiB: as estimated, else what the preset is meant for."""
        return self.memory.total / GIB if self.memory else self.meant_gib

    @property
    def disk(self) -> int:
        """The bytes of disk at the fullest moment."""
        return max(one.size for one in self.held)

    @property
    def hours(self) -> float | None:
        """The hours at the pace that was given."""
        return self._hours(self.pace)

    def offers(self) -> list[Offer]:
        """Return each GPU that we know, with what is known of the training on it.

        A figure of one GPU says nothing about several.
        """
        found = []
        for gpu in gpus.every():
            measured = pace.of(gpu, self.conditions) if self.spread == ALONE else None
            hours = self._hours(measured.steps_per_second) if measured else None
            fits = None if self.gib is None else gpu.gib >= self.gib
            found.append(Offer(gpu, fits, measured, hours, self.money(hours)))
        return found

    def money(self, hours: float | None) -> float | None:
        """Return what so many hours cost at the given rate."""
        return None if hours is None or self.rate is None else hours * self.rate

    def _hours(self, steps_per_second: float | None) -> float | None:
        known = steps_per_second and self.length.steps
        return self.length.seconds(steps_per_second) / 3600 if known and steps_per_second else None


def text(needs: Needs) -> str:
    """Return it as a person reads it."""
    return "\n".join(_lines(needs))


def values(needs: Needs) -> dict[str, Any]:
    """Return it as a table for JSON: sizes in bytes, memory in GiB, pace in steps per second."""
    return {
        "preset": needs.preset,
        "release": needs.release,
        "images": needs.images,
        "repeats": list(needs.repeats),
        "pictures_per_epoch": needs.seen,
        "steps_per_epoch": needs.length.by_epoch,
        "epochs": needs.length.epochs,
        "steps": needs.length.steps,
        "gpus": needs.spread.gpus,
        "machines": needs.spread.machines,
        "images_per_step": needs.step_images,
        "memory_gib": None if needs.memory is None else round(needs.memory.total / GIB, 1),
        "disk": needs.disk,
        "disk_over_time": [
            {"when": one.when, "done": one.done, "bytes": one.size} for one in needs.held
        ],
        "pace": needs.pace,
        "hours": _rounded(needs.hours),
        "rate": needs.rate,
        "cost": _rounded(needs.money(needs.hours)),
        "offers": [
            {
                "gpu": one.gpu.name,
                "gpu_gib": one.gpu.gib,
                "fits": one.fits,
                "steps_per_second": one.measured.steps_per_second if one.measured else None,
                "source": one.measured.source if one.measured else None,
                "date": one.measured.date.isoformat() if one.measured else None,
                "hours": _rounded(one.hours),
                "cost": _rounded(one.cost),
            }
            for one in needs.offers()
        ],
    }


def _lines(needs: Needs) -> Iterator[str]:
    yield f"{needs.preset} with sd-scripts {needs.release}: {plural(needs.images, 'image')}"
    length = needs.length
    each = ", ".join(map(str, needs.repeats))
    yield (
        f"  repeats: {each}; {plural(needs.seen, 'picture')} an epoch"
        f", {plural(length.by_epoch, 'step')} an epoch"
    )
    on = f" on {needs.spread}" if needs.spread.processes > 1 else ""
    yield f"  steps: {length.steps}, {plural(length.epochs, 'epoch')}{on}"
    if needs.step_images > 1:
        seen = length.steps * needs.step_images
        yield f"  images in a step: up to {needs.step_images}; in all steps up to {seen}"
    if needs.memory:
        yield f"  {estimate.summary(needs.memory, needs.meant_gib)}"
        yield from (f"    {note}" for note in needs.memory.notes)
    else:
        meant = f"; the preset is made for {needs.meant_gib:g} GiB" if needs.meant_gib else ""
        yield f"  GPU memory: {UNKNOWN} for {needs.conditions.script}{meant}"
    yield f"  disk: up to {_gb(needs.disk)}"
    for when, size in needs.around:
        yield f"    {_gb(size):>9}  {when}"
    before = None
    for held in needs.held:
        if held.size != before:
            yield f"    {_gb(held.size):>9}  in all, {held.when}"
        before = held.size
    yield from _times(needs)


def _times(needs: Needs) -> Iterator[str]:
    if needs.hours is not None:
        told = f"  hours: {needs.hours:.1f} at {needs.pace:g} steps a second"
        yield told + _money(needs, needs.hours)
    yield "  GPUs:"
    offers = needs.offers()
    for one in offers:
        told = _fit(one, needs.gib)
        hours = f"hours {UNKNOWN}" if one.hours is None else f"{one.hours:.1f} hours"
        tail = f"; {hours}{_money(needs, one.hours)}" if one.fits is not False else ""
        yield f"    {one.gpu.name:<13} {one.gpu.gib:>5g} GiB  {told}{tail}"
        if one.measured and one.fits is not False:
            yield f"      measured: {one.measured}"
    fitting = [one for one in offers if one.fits is not False]
    if needs.pace is None and not any(one.hours for one in fitting):
        yield f"  No figure is known for {needs.conditions}."
        yield "  Train for some minutes, then give the it/s of the progress bar: --pace NUMBER."
        for one in fitting:
            for figure in pace.about(one.gpu):
                yield f"    for comparison, {one.gpu.name}: {figure}"


def _fit(one: Offer, needed: float | None) -> str:
    if needed is None:
        return "may be large enough"
    if one.fits:
        return "large enough" if needed < NEARLY * one.gpu.gib else "only just large enough"
    return "too small"


def _money(needs: Needs, hours: float | None) -> str:
    cost = needs.money(hours)
    return "" if cost is None else f", {cost:.2f} at {needs.rate:g} an hour"


def _gb(size: int) -> str:
    return f"{size / GB:.1f} GB"


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)
