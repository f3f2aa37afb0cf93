"""GPUs that people rent, by the names that the services give them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.problems import did_you_mean, listed
from kohya_presets.toml import source as toml_source

FILE = Path(__file__).parent / "gpus.toml"
CLOUDS = ("vast", "runpod", "lambda", "aws", "gcp", "azure")  # of SkyPilot, with names of GPUs here
MOST = 8  # GPUs of one machine


@dataclass(frozen=True)
class InSky:
    """A GPU in SkyPilot's catalogue of one cloud: its name, and how many a machine can have.

    Without `by` any number up to `MOST`.
    """

    name: str
    by: tuple[int, ...] = ()

    def has(self, count: int) -> bool:
        """Return whether the cloud has machines with exactly so many."""
        return count in self.by if self.by else count <= MOST


@dataclass(frozen=True)
class Gpu:
    """A GPU. `gib` is the memory that its driver reports, in GiB.

    `vast` are its names in vastai's queries, `vast_ram` its least memory there in GB; `runpod` its
    gpuTypeId; `sky` what it is in SkyPilot's catalogue, by cloud.
    """

    name: str
    gib: float
    vast: tuple[str, ...]
    vast_ram: int
    runpod: str
    sky: Mapping[str, InSky]


@functools.cache
def every() -> tuple[Gpu, ...]:
    """Return all, those with the least memory first."""
    tables = toml_source.read(FILE).values["gpus"]
    return tuple(
        Gpu(
            **{
                **table,
                "vast": tuple(table["vast"]),
                "sky": {cloud: _in_sky(told) for cloud, told in table["sky"].items()},
            }
        )
        for table in tables
    )


def find(name: str) -> Gpu:
    """Return the GPU of that name, in any case and with any spaces.

    Raises:
        UserError: there is none, or several.
    """
    asked = _plain(name)
    found = [gpu for gpu in every() if _plain(gpu.name) == asked]
    found = found or [gpu for gpu in every() if asked and asked in _plain(gpu.name)]
    if len(found) == 1:
        return found[0]
    names = [gpu.name for gpu in every()]
    if found:
        several = listed(gpu.name for gpu in found)
        raise UserError(f"{name!r} can be {several}", hint="Write the whole name.")
    close = did_you_mean(name, names)
    hint = f"Choose one of: {', '.join(names)}."
    raise UserError(f"there is no GPU {name!r} in our list", hint=close or hint)


def with_memory(gib: float) -> tuple[Gpu, ...]:
    """Return the GPUs that have so much memory, those with the least first."""
    return tuple(gpu for gpu in every() if gpu.gib >= gib)


def _in_sky(told: str) -> InSky:
    name, _, counts = told.partition(":")
    return InSky(name, tuple(map(int, counts.split(","))) if counts else ())


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
