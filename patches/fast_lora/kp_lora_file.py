"""Write a LoRA file as sd-scripts does, hashes in its metadata too, but whole or not at all.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

`safetensors.torch.save_file` first copies everything into memory once more; this does not. The
format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def save(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous `tensors` to `file`, which is replaced only once all of it is on disk.

    The two hashes are of the file as it is without them and without what is not `ss_…`, as
    sd-scripts makes them: that file is written first.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.part")
    try:
        _write(beside, tensors, {k: v for k, v in metadata.items() if k.startswith("ss_")})
        _write(beside, tensors, {**metadata, **_hashes(beside)})
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _write(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, its tensors by name as that library orders those of one dtype."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    at = 0
    for name, tensor in sorted(tensors.items()):
        end = at + tensor.numel() * tensor.element_size()
        shape = list(tensor.shape)
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in sorted(tensors.items()):
            opened.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


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
