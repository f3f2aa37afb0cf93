"""What is asked of a service that rents GPUs: memory, disk, price, and the GPUs that are enough."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kohya_presets.errors import UserError
from kohya_presets.problems import listed
from kohya_presets.renting import gpus as known
from kohya_presets.renting.gpus import Gpu
from kohya_presets.renting.offer import GB, NEARLY, Needs

CUDA = "12.4"  # which torch 2.6 needs; older drivers get an older torch, newer ones a newer
_BUCKET = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._/-]*")
_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Order:
    """A machine to rent, or several of the same. `disk` is in GB, `price` in money an hour.

    `price` is that of one machine (None: any); `count` is the number of GPUs of each.

    `label` is the run's name in letters that every service takes. `gpus` are all that are enough,
    those with the least memory first.
    """

    name: str
    label: str
    preset: str
    disk: int
    gpus: tuple[Gpu, ...]
    is_chosen: bool  # whether the user named the GPU
    price: float | None = None
    spot: bool = True
    bucket: str | None = None
    cuda: str = CUDA
    count: int = 1
    machines: int = 1
    own: int = 1  # GPUs of a machine where nothing is said, by the preset

    @property
    def tells_gpus(self) -> bool:
        """Whether `train` must be told the number of GPUs."""
        return self.count > 1 or self.own > 1

    @property
    def said(self) -> str:
        """The GPUs and machines, as a person reads them."""
        gpus = "one GPU" if self.count == 1 else f"{self.count} GPUs"
        return gpus if self.machines == 1 else f"{self.machines} machines with {gpus} each"

    @property
    def vast_ram(self) -> int:
        """The least gpu_ram in vastai's queries, in GB: never that of a smaller card."""
        return min(gpu.vast_ram for gpu in self.gpus)


def of(
    needs: Needs,
    name: str,
    *,
    gpu: str | None = None,
    price: float | None = None,
    spot: bool = True,
    bucket: str | None = None,
    count: int = 1,
    machines: int = 1,
    own: int = 1,
) -> Order:
    """Return what to ask for; `gpu` is a name in our list, None for each that is large enough.

    `count` is the number of GPUs of a machine. Each GPU holds the whole model. Several machines
    save no states, so they are never interruptible ones.

    Raises:
        UserError: the GPU is too small, none is large enough, or the bucket's name is none.
    """
    if bucket is not None and not _BUCKET.fullmatch(bucket):
        hint = "Write it as s3://NAME/FOLDER, without spaces. R2, B2 and others take it too."
        raise UserError(f"{bucket!r} is no bucket that can be used", hint=hint)
    needed = needs.gib
    if gpu is not None:
        found: Sequence[Gpu] = (known.find(gpu),)
        if needed is not None and found[0].gib < needed:
            enough = listed(one.name for one in known.with_memory(needed)) or "none in our list"
            raise UserError(
                f"{needs.preset} needs about {needed:.1f} GiB of GPU memory, but a "
                f"{found[0].name} has {found[0].gib:g} GiB",
                hint=f"Large enough: {enough}.",
            )
    else:
        found = known.with_memory((needed or 0) / NEARLY)
    if not found:
        raise UserError(
            f"{needs.preset} needs about {needed or 0:.1f} GiB of GPU memory, and no GPU in our "
            "list has so much",
            hint="Take a setting that saves memory: `kohya-presets validate` names one.",
        )
    disk = math.ceil(needs.disk / GB * 1.1) + 5
    label = _WORD.sub("-", name.casefold()).strip("-") or "training"
    label = label if label[0].isalpha() else f"run-{label}"
    return Order(
        name,
        label,
        needs.preset,
        disk,
        tuple(found),
        gpu is not None,
        price,
        spot and machines == 1,
        bucket,
        count=count,
        machines=machines,
        own=own,
    )
