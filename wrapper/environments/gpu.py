"""What GPUs and driver this machine has, and which build of torch they can run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kohya_presets.errors import UserError
from wrapper.system import proc

QUESTION = "--query-gpu=name,memory.total"


@dataclass(frozen=True)
class Gpu:
    """One device; `memory_gib` is what the driver reports, a little less than the label says.

    None: it reports none, as of a GPU that shares the computer's memory.
    """

    name: str
    memory_gib: float | None

    def __str__(self) -> str:
        known = self.memory_gib is not None
        return f"{self.name} {self.memory_gib:g} GiB" if known else f"{self.name} (memory unknown)"


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver and the newest CUDA it can run, e.g. (12, 4)."""

    version: str
    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True)
class TorchBuild:
    """Versions that belong together, as the package index has them for Linux, and their CUDA."""

    torch: str
    torchvision: str
    cuda: tuple[int, int]
    bitsandbytes: str


# Read from the packages' own metadata: which CUDA the plain `pip install torch==` brings.
# bitsandbytes: the release must carry a library for that CUDA; older pins of sd-scripts do not.
BUILDS = (
    TorchBuild("2.13.0", "0.28.0", (13, 0), "0.50.2"),
    TorchBuild("2.8.0", "0.23.0", (12, 8), "0.48.2"),
    TorchBuild("2.6.0", "0.21.0", (12, 4), "0.45.5"),
    TorchBuild("2.4.1", "0.19.1", (12, 1), "0.43.3"),
)
WITHOUT_GPU = BUILDS[0]


def load() -> str:
    """Return how busy the first GPU is: memory, temperature, power; "" where there is none."""
    query = "--query-gpu=memory.used,memory.total,temperature.gpu,power.draw"
    try:
        said = proc.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"], check=False, timeout_seconds=5
        )
        used, total, degrees, watts = map(_number, said.stdout.splitlines()[0].split(","))
    except (UserError, OSError, IndexError, ValueError):
        return ""
    parts = []
    if used is not None and total is not None:
        parts.append(f"GPU {used / 1024:.0f} of {total / 1024:.0f} GiB")
    parts += [f"{degrees:g} °C"] if degrees is not None else []
    parts += [f"{watts:.0f} W"] if watts is not None else []
    return " ".join(parts)


def memory() -> tuple[float, float] | None:
    """Return how much memory of the first GPU is used, and all it has, in MiB; None: no GPU."""
    query = "--query-gpu=memory.used,memory.total"
    try:
        said = proc.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"], check=False, timeout_seconds=5
        )
        used, total = map(_number, said.stdout.splitlines()[0].split(","))
    except (UserError, OSError, IndexError, ValueError):
        return None
    return None if used is None or total is None else (used, total)


def largest() -> float | None:
    """Return the memory in GiB of the GPU that has the most, None where there is none."""
    found = driver()
    sizes = [g.memory_gib for g in found.gpus if g.memory_gib is not None] if found else []
    return max(sizes, default=None)


def driver() -> Driver | None:
    """Return the driver of this machine, or None where there is none."""
    banner = proc.run(["nvidia-smi"], check=False, timeout_seconds=30)
    listed = proc.run(
        ["nvidia-smi", QUESTION, "--format=csv,noheader,nounits"], check=False, timeout_seconds=30
    )
    if banner.returncode or listed.returncode:
        return None
    return read(banner.stdout, listed.stdout)


def read(banner: str, listed: str) -> Driver | None:
    """Return what nvidia-smi's two answers say; None if its banner has another form."""
    version = re.search(r"Driver Version:\s*([\d.]+)", banner)
    cuda = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", banner)
    if version is None or cuda is None:
        return None
    rows = [row.rsplit(",", 1) for row in listed.splitlines() if "," in row]
    gpus = tuple(Gpu(name.strip(), _gib(mib)) for name, mib in rows)
    return Driver(version[1], (int(cuda[1]), int(cuda[2])), gpus)


def build_for(found: Driver | None) -> TorchBuild | None:
    """Return the newest build that `found` can run, or None for a driver too old for any."""
    if found is None:
        return WITHOUT_GPU
    return next((build for build in BUILDS if build.cuda <= found.cuda), None)


def _gib(mib: str) -> float | None:
    number = _number(mib)
    return None if number is None else round(number / 1024, 1)


def _number(text: str) -> float | None:
    # nvidia-smi has many words in place of a number: [N/A], [Not Supported], [Unknown Error] ...
    return float(text) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else None
