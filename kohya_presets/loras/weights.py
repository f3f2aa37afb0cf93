"""What a weights file is, read from its header: never a tensor, never torch.

A safetensors file is 8 bytes with the header's length (little-endian), the header as JSON, then the
tensors (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.loras import escape
from kohya_presets.problems import listed

HEADER_LIMIT = 100_000_000  # bytes; the format's own limit
CHUNK = 1 << 22
_SDXL = {  # what each part's names begin with
    "conditioner.embedders.0.transformer.": "text encoder 1",
    "conditioner.embedders.1.model.": "text encoder 2",
    "model.diffusion_model.label_emb.0.0.weight": "U-Net",
    "first_stage_model.": "VAE",
}
_PARTIAL = "an SDXL checkpoint without"
_KINDS = (  # first one whose every prefix is found
    ("a LoRA", ("lora_",)),
    ("an SDXL checkpoint", tuple(_SDXL)),
    ("an SDXL refiner", ("conditioner.embedders.0.model.", "model.diffusion_model.")),
    ("a Stable Diffusion 1 checkpoint", ("cond_stage_model.transformer.",)),
    ("a Stable Diffusion 2 checkpoint", ("cond_stage_model.model.",)),
    *((_PARTIAL, (prefix,)) for prefix in _SDXL if not prefix.startswith("first_stage")),
    ("a checkpoint without text encoders or VAE", ("model.diffusion_model.",)),
    ("a U-Net in Diffusers' form", ("down_blocks.", "conv_in.")),
    ("a Flux model", ("double_blocks.",)),
)


@dataclass(frozen=True)
class Tensor:
    """One tensor as the header describes it; `dtype` as safetensors writes it, e.g. "F16".

    Its `size` bytes begin at byte `start` of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """The part of a weights file before its first tensor."""

    file: Path
    size: int  # of the file, in bytes
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def read(file: Path) -> Header:
    """Return the header of a whole safetensors file.

    Raises:
        UserError: it does not exist, is not safetensors, or is incomplete.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(1024)
            length = int.from_bytes(head[:8], "little")
            if size < 10 or length > min(HEADER_LIMIT, size - 8) or head[8:9] != b"{":
                raise _not_safetensors(file, head, size, length)
            opened.seek(8)
            text = opened.read(length)
    except OSError as error:
        raise UserError(f"cannot read the weights file {file}: {error.strerror}") from None
    metadata, tensors = _parsed(file, text)
    end = max((t.start + t.size for t in tensors.values()), default=8 + length)
    if end != size:
        raise UserError(
            f"{file} is incomplete: its header describes {end} bytes, the file has {size}",
            hint="Download or create the file again.",
        )
    return Header(file, size, tensors, metadata)


def is_whole(file: Path) -> bool:
    """Return whether a safetensors file is there, and written to its end."""
    try:
        read(file)
    except UserError:
        return False
    return True


def kind(header: Header) -> str:
    """Return what the weights are, in words with an article, from the tensor names alone."""
    for name, prefixes in _KINDS:
        if all(_has(header, prefix) for prefix in prefixes):
            lacks = [part for prefix, part in _SDXL.items() if not _has(header, prefix)]
            return f"{name} {listed(lacks)}" if name == _PARTIAL else name
    return "not a Stable Diffusion model"


def require(file: Path, kinds: Sequence[str] = ("an SDXL checkpoint",)) -> Header:
    """Return the header of a base model in its single-file form, of one of the `kinds`.

    Raises:
        UserError: it is of another kind, which the message names.
    """
    header = read(file)
    if (found := kind(header)) not in kinds:
        hint = "Use a base model in one file"
        if found.startswith(_PARTIAL):
            hint = "Use the complete checkpoint of this model, with its VAE and text encoders"
        if "an SDXL checkpoint" in kinds:
            hint += ", e.g. "
            hint += "--base stabilityai/stable-diffusion-xl-base-1.0/sd_xl_base_1.0.safetensors"
        raise UserError(f"expected {' or '.join(kinds)}, but {file} is {found}", hint=hint)
    return header


def sha256(file: Path, *, on_bytes: Callable[[int], None] | None = None) -> str:
    """Return the file's SHA-256 as 64 hex digits; `on_bytes` gets the size of each part read."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
            if on_bytes:
                on_bytes(len(chunk))
    return digest.hexdigest()


def data_sha256(header: Header) -> str:
    """Return the SHA-256 of everything after the header: the same whatever the metadata says."""
    digest = hashlib.sha256()
    with header.file.open("rb") as opened:
        opened.seek(header.size - sum(tensor.size for tensor in header.tensors.values()))
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _has(header: Header, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in header.tensors)


def _parsed(file: Path, text: bytes) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        header: dict[str, Any] = json.loads(text)
        metadata: dict[str, str] = dict(header.pop("__metadata__", {}))
        # Many messages have a tensor's name in them; nothing needs its control characters.
        tensors = {escape.controls(name): _tensor(t, 8 + len(text)) for name, t in header.items()}
        return metadata, tensors
    except (ValueError, KeyError, TypeError, AttributeError):
        hint = "Download or create the file again."
        raise UserError(f"{file} has no readable safetensors header", hint=hint) from None


def _tensor(entry: Mapping[str, Any], data: int) -> Tensor:
    start, end = map(int, entry["data_offsets"])
    shape = tuple(map(int, entry["shape"]))
    if not 0 <= start <= end or min(shape, default=0) < 0:
        raise ValueError(entry)
    return Tensor(escape.controls(str(entry["dtype"])), shape, data + start, end - start)


def _not_safetensors(file: Path, head: bytes, size: int, length: int) -> UserError:
    again = "Download the file itself, not its web page or a git-lfs pointer."
    if size == 0:
        return UserError(f"{file} is empty", hint="Download or create the file again.")
    if head.startswith((b"<!DOCTYPE", b"<html", b"<!doctype")):
        return UserError(f"{file} is a web page, not a weights file", hint=again)
    if head.startswith(b"version https://git-lfs"):
        return UserError(f"{file} is a git-lfs pointer, not the weights", hint="Run: git lfs pull")
    if head.startswith((b"PK\x03\x04", b"\x80\x02")):
        return UserError(
            f"{file} is a pickle (.ckpt), which can run code when it is opened",
            hint="Use the safetensors file of this model.",
        )
    if head[8:9] == b"{" and length <= HEADER_LIMIT:
        hint = "Download or create the file again."
        return UserError(f"{file} is incomplete: it ends after {size} bytes", hint=hint)
    return UserError(f"{file} is not a safetensors file", hint=again)
