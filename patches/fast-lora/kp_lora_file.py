"""Write a LoRA file as sd-scripts does, hashes in its metadata too, but whole or not at all.

Runs inside sd-scripts: torch, safetensors and the standard library only, Python 3.10, torch 2.0.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save(file: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write `tensors` to `file`, which is replaced only once all of it is on disk.

    The two hashes are of the file as it is without them and without what is not `ss_…`, as
    sd-scripts makes them; that file is written first rather than held in memory once more.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.part")
    try:
        only_ours = {key: value for key, value in metadata.items() if key.startswith("ss_")}
        save_file(tensors, beside, only_ours)
        hashes = _hashes(beside)
        save_file(tensors, beside, {**metadata, **hashes})
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _hashes(file: Path) -> dict[str, str]:
    try:
        home = importlib.import_module("library.model_io")  # from v0.11.0
    except ModuleNotFoundError:
        home = importlib.import_module("library.train_util")
    with file.open("rb") as opened:
        return {
            "sshs_model_hash": home.addnet_hash_safetensors(opened),
            "sshs_legacy_hash": home.addnet_hash_legacy(opened),
        }
