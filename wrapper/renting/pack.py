"""Write a pack: one archive with everything a machine needs; the same input, the same bytes.

A zip whose files are stored as they are: images do not get smaller, and so nothing depends on a
library that compresses. One file after the other is read, in pieces.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets as chance
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kohya_presets.errors import UserError
from kohya_presets.renting import packed
from kohya_presets.renting.packed import Entry, Manifest
from wrapper.renting import own_wheel
from wrapper.renting.contents import Contents
from wrapper.system import whole

PIECE = 1 << 20  # bytes that are read at once
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can have
_MODE = 0o100644 << 16  # a file that its owner may write


def write(contents: Contents, out: Path, *, force: bool = False) -> Manifest:
    """Return the manifest of the pack written to `out`: all of it, or nothing.

    Raises:
        UserError: `out` exists and `force` is not set, a file cannot be read or changed meanwhile,
            or the pack cannot be written.
    """
    out = out.expanduser()
    if not force:
        whole.require_free([out])
    if out.is_dir():
        raise UserError(f"cannot write {out}: it is a folder", hint="Give the name of a file.")
    listing = _manifest(contents)
    part = out.with_name(f".{out.name}.{chance.token_hex(4)}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "x") as archive:
            text = packed.text(listing).encode("utf-8")
            _add(archive, packed.NAME, len(text), io.BytesIO(text))
            for entry in listing.files:
                with _opened(contents.files[entry.path]) as source:
                    if _add(archive, entry.path, entry.size, source) != entry.sha256:
                        raise UserError(f"{entry.path} changed while it was packed")
        part.replace(out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return listing


def _manifest(contents: Contents) -> Manifest:
    entries = []
    for path in sorted(contents.files):
        digest, size = hashlib.sha256(), 0
        try:
            with _opened(contents.files[path]) as source:
                for piece in pieces(source):
                    digest.update(piece)
                    size += len(piece)
        except OSError as error:
            raise UserError(f"cannot read {error.filename}: {error.strerror}") from None
        entries.append(Entry(path, digest.hexdigest(), size))
    made = Manifest(
        name=contents.name,
        preset=contents.preset,
        release=contents.release,
        base=contents.base,
        data=contents.data,
        version=own_wheel.version(),
        files=tuple(entries),
    )
    return packed.parse(packed.text(made).encode("utf-8"))  # what could not be read is not written


def pieces(source: IO[bytes]) -> Iterator[bytes]:
    """Yield what is read of a file, piece by piece."""
    while piece := source.read(PIECE):
        yield piece


def _opened(what: Path | bytes) -> IO[bytes]:
    return io.BytesIO(what) if isinstance(what, bytes) else what.open("rb")


def _add(archive: zipfile.ZipFile, path: str, size: int, source: IO[bytes]) -> str:
    """Add a file and return its SHA-256."""
    info = zipfile.ZipInfo(path, _EPOCH)
    info.create_system, info.external_attr = 3, _MODE
    info.file_size = size
    digest = hashlib.sha256()
    with archive.open(info, "w") as into:
        for piece in pieces(source):
            digest.update(piece)
            into.write(piece)
    return digest.hexdigest()
