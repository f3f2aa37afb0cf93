"""Another header for a weights file: its metadata changes, and no byte of its tensors.

A safetensors file is 8 bytes with the header's length, the header as JSON, and the tensors; their
places are counted from the end of the header, so they stay as they are when it grows
(https://github.com/huggingface/safetensors#format). Its length is a multiple of 8, as safetensors
writes it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kohya_presets.errors import UserError
from kohya_presets.loras import weights

METADATA = "__metadata__"
_AGAIN = "Download or create the file again."


def rewrite(file: Path, out: Path, changes: Mapping[str, str]) -> None:
    """Write `file` with the metadata `changes` to `out`, which may be the file itself.

    The new file is written beside `out`, read back, and only then renamed into place. However the
    process ends, `out` is what it was, or complete.

    Raises:
        UserError: the file is not safetensors, or cannot be written; nothing has changed then.
    """
    weights.read(file)  # it is whole
    out = out.resolve()
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as old, part.open("xb") as new:
            header = _header(old, file)
            header[METADATA] = {**header.get(METADATA, {}), **changes}
            new.write(_encoded(header, file))
            digest = _copy(old, new)
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(file, part)
        _verify(part, digest, header[METADATA])
        part.replace(out)
    except OSError as error:
        said = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise UserError(f"cannot write {out}: {said}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _header(opened: BinaryIO, file: Path) -> dict[str, Any]:
    """Return the header as it is written, and leave the file at its first tensor."""
    length = int.from_bytes(opened.read(8), "little")
    try:
        header: dict[str, Any] = json.loads(opened.read(length), object_pairs_hook=_once)
    except ValueError as error:
        raise UserError(f"{file} has no readable header: {error}", hint=_AGAIN) from None
    metadata = header.get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        message = f"{file} has metadata that are no texts, which safetensors cannot read"
        raise UserError(message, hint=_AGAIN)
    return {METADATA: metadata, **{k: v for k, v in header.items() if k != METADATA}}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _encoded(header: Mapping[str, Any], file: Path) -> bytes:
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    text += b" " * (-len(text) % 8)
    if len(text) > weights.HEADER_LIMIT:
        raise UserError(f"the metadata of {file.name} would be larger than safetensors allows")
    return len(text).to_bytes(8, "little") + text


def _copy(old: BinaryIO, new: BinaryIO) -> str:
    """Copy the rest of a file, and return its SHA-256."""
    digest = hashlib.sha256()
    while chunk := old.read(weights.CHUNK):
        new.write(chunk)
        digest.update(chunk)
    return digest.hexdigest()


def _verify(part: Path, digest: str, metadata: Mapping[str, str]) -> None:
    """Read back what was written: a disk that loses bytes must not replace a good file."""
    found = weights.read(part)
    if weights.data_sha256(found) != digest or found.metadata != metadata:
        raise UserError(
            f"what was written beside {part.parent} is not what was read", hint="Check the disk."
        )
