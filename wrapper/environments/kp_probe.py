"""Say, as JSON, what the Python that runs this file would train with.

Run in the trainer's environment by `doctor`, before each run and after an environment was made.
Imports each package in turn, so that one that is installed and broken is found here and not an hour
into a run. With arguments ("module" or "module:Class") it only says which of these do not import.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Sequence
from typing import Any

IMPORTED = (
    "torch",
    "torchvision",
    "accelerate",
    "transformers",
    "diffusers",
    "safetensors",
    "toml",
    "voluptuous",
    "bitsandbytes",
    "lion_pytorch",
    "dadaptation",
    "prodigyopt",
    "schedulefree",
    "xformers",
    "torch.utils.tensorboard",
)


def installed() -> dict[str, str]:
    """Return the version of every package, by lower-case name with dashes."""
    return {
        found.metadata["Name"].lower().replace("_", "-"): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }


def broken(names: Sequence[str]) -> dict[str, str]:
    """Return, for each of the names that does not import, the first line of why."""
    failures = {}
    for name in names:
        module, _, attribute = name.partition(":")
        try:
            found = importlib.import_module(module)
            if attribute:
                getattr(found, attribute)
        except BaseException as error:  # a broken compiled part may raise anything
            failures[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return failures


def gpus() -> dict[str, Any]:
    """Return what torch sees of CUDA: its own version, and each device with its memory in GiB."""
    try:
        import torch
    except BaseException:
        return {"version": None, "devices": []}
    devices = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    return {
        "version": torch.version.cuda,
        "devices": [
            {"name": d.name, "memory_gib": round(d.total_memory / 2**30, 1)} for d in devices
        ],
    }


def main() -> None:
    """Print one line of JSON, the last line of the output: packages may print while imported."""
    if sys.argv[1:]:
        print(json.dumps(broken(sys.argv[1:])))
        return
    found = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": installed(),
        "broken": broken(IMPORTED),
        "cuda": gpus(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
