"""Read a pack: all of it is checked before the first file is written."""

from __future__ import annotations

import contextlib
import hashlib
import secrets as chance
import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.problems import first
from kohya_presets.renting import packed
from kohya_presets.renting.packed import Entry, Manifest
from wrapper.planning import disk
from wrapper.renting import pack
from wrapper.system import folders, sizes

AGAIN = "Send it again: it was not copied completely, or something changed it."


def unpack(file: Path, into: Path, *, patches: Path | None = None) -> Manifest:
    """Return the manifest of a pack whose files are now in the folder `into`: all, or none.

    The folder is new, or empty. `patches` is where the pack's own patches go, if they are wanted.

    Raises:
        UserError: the pack is damaged, it has a path that leaves the folder or a link, a file is
            missing or is not in its manifest; or `into` has files already, or `patches` has another
            patch of that name.
    """
    file, into = file.expanduser(), into.expanduser()
    if into.is_symlink() or (into.exists() and (not into.is_dir() or any(into.iterdir()))):
        raise UserError(f"{into} exists and is not empty", hint="Give a new folder with --into.")
    try:
        with zipfile.ZipFile(file) as archive:
            listing = checked(archive)
            free = disk.free(into.absolute().parent)
            if free < listing.size:
                need = f"the pack needs {sizes.said(listing.size)}, but {sizes.said(free)} are free"
                raise UserError(need, hint="Free some space, or choose a folder on another disk.")
            _write(archive, listing, into, patches)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{file} is damaged, or no pack: {error}", hint=AGAIN) from None
    except OSError as error:
        named = error.filename or file
        raise UserError(f"cannot unpack {named}: {error.strerror or error}") from None
    return listing


def checked(archive: zipfile.ZipFile) -> Manifest:
    """Return the manifest of an open pack, after reading every file of it.

    Raises:
        UserError: what the archive has is not what its manifest says.
    """
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise UserError("the pack has a file twice", hint=AGAIN)
    for name, info in infos.items():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.is_dir():
            what = "a link" if kind == stat.S_IFLNK else "no file"
            raise UserError(f"the pack is not safe to unpack: {name!r} is {what}", hint=AGAIN)
    if packed.NAME not in infos:
        raise UserError(f"this is no pack: it has no {packed.NAME}", hint="Make it with `pack`.")
    if infos[packed.NAME].file_size > packed.LARGEST:
        raise UserError(f"{packed.NAME} is too large: {infos[packed.NAME].file_size} bytes")
    listing = packed.parse(archive.read(packed.NAME))
    named = {entry.path for entry in listing.files}
    if missing := sorted(named - infos.keys()):
        raise UserError(f"the pack lacks {first(missing)}", hint=AGAIN)
    if more := sorted(infos.keys() - named - {packed.NAME}):
        raise UserError(f"the pack has files that are not in its list: {first(more)}", hint=AGAIN)
    for entry in listing.files:
        _copy(archive, entry, None)
    return listing


def own_patches(listing: Manifest) -> list[str]:
    """Return the names of the patches that a pack carries."""
    split = (entry.path.split("/") for entry in listing.files)
    return sorted({parts[1] for parts in split if parts[0] == packed.PATCHES and len(parts) > 2})


def _write(archive: zipfile.ZipFile, listing: Manifest, into: Path, patches: Path | None) -> None:
    part = into.absolute().with_name(f".{into.name}.{chance.token_hex(4)}.part")
    try:
        for entry in listing.files:
            at = part.joinpath(*entry.path.split("/"))
            at.parent.mkdir(parents=True, exist_ok=True)
            _copy(archive, entry, at)
        (part / packed.NAME).write_bytes(archive.read(packed.NAME))
        if patches is not None:
            for name in own_patches(listing):
                _install(part / packed.PATCHES / name, patches / name)
        if into.exists():
            into.rmdir()  # it is empty; Windows does not replace a folder
        part.replace(into)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(part)


def _install(patch: Path, to: Path) -> None:
    """Copy a patch to where patches are looked for; one that is there is never changed."""
    if to.is_dir():
        if _contents(patch) == _contents(to):
            return
        raise UserError(
            f"{to} is another patch of that name", hint="Rename it, or move it away, and try again."
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    with folders.made(to.parent) as work:
        shutil.copytree(patch, work / to.name)
        (work / to.name).rename(to)


def _contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def _copy(archive: zipfile.ZipFile, entry: Entry, at: Path | None) -> None:
    """Read a file of the pack, write it where that is asked, and compare it with its hash."""
    digest, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(archive.open(entry.path))
        made = stack.enter_context(at.open("xb")) if at else None
        for piece in pack.pieces(source):
            digest.update(piece)
            size += len(piece)
            if size > entry.size:  # a small file can be made to unpack to a huge one
                break
            if made:
                made.write(piece)
    if size != entry.size or digest.hexdigest() != entry.sha256:
        raise UserError(f"{entry.path} in the pack is damaged: its hash is another", hint=AGAIN)
