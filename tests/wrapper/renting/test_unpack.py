"""What was packed comes out as it went in; a pack that is not sound writes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.renting import packed
from tests.wrapper.renting import packs
from wrapper.renting import unpack

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture
def file(shipped: Catalogue, tmp_path: Path) -> Path:
    return packs.made(shipped, tmp_path)


def contents(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(file: Path, files: dict[str, bytes], *, link: str = "") -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (stat.S_IFLNK | 0o777 if name == link else 0o100644) << 16
            archive.writestr(info, data)
    return file


def refused(file: Path, into: Path, words: str) -> None:
    """Unpacking fails with these words, and leaves nothing behind."""
    before = {*into.parent.rglob("*")}
    with pytest.raises(UserError, match=words) as caught:
        unpack.unpack(file, into)
    assert {*into.parent.rglob("*")} == before
    assert caught.value.hint


def listed(files: dict[str, bytes], name: str, data: bytes) -> None:
    """Add a file, with its hash in the list."""
    listing = json.loads(files[packed.NAME])
    digest = hashlib.sha256(data).hexdigest()
    listing["files"][name] = {"sha256": digest, "size": len(data)}
    files[packed.NAME] = json.dumps(listing).encode()
    files[name] = data


def test_the_same_bytes_come_out(file: Path, tmp_path: Path) -> None:
    into = tmp_path / "there ü"
    listing = unpack.unpack(file, into)
    data = tmp_path / "my pictures ü"
    assert {f.name: f.read_bytes() for f in (into / "data").iterdir()} == {
        f.name: f.read_bytes() for f in data.iterdir()
    }
    assert {f.relative_to(into).as_posix() for f in into.rglob("*") if f.is_file()} == {
        packed.NAME,
        *(entry.path for entry in listing.files),
    }
    assert [f.name for f in tmp_path.iterdir() if f.name.startswith(".")] == []
    with pytest.raises(UserError, match="not empty"):
        unpack.unpack(file, into)


def test_an_empty_folder_is_filled(file: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    unpack.unpack(file, tmp_path / "new")
    assert (tmp_path / "new" / "preset.toml").is_file()


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9, 0.999])
def test_a_pack_that_was_cut_short_is_refused(at: float, file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * at)])
    refused(file, tmp_path / "into", "damaged, or no pack")


def test_a_changed_byte_anywhere_is_found(file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    for at in range(40, len(data), len(data) // 40):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            unpack.unpack(file, tmp_path / "into")
        except UserError:
            assert not (tmp_path / "into").exists()
        else:  # a byte that means nothing, such as a date: then all that counts is right
            assert contents(file)[packed.NAME] == (tmp_path / "into" / packed.NAME).read_bytes()
            for entry in packed.parse(contents(file)[packed.NAME]).files:
                assert (tmp_path / "into" / entry.path).stat().st_size == entry.size
            shutil.rmtree(tmp_path / "into")


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/etc/evil", "data/../../evil", "C:/evil", "a\\..\\b", "data//x", "a/./b"],
)
def test_a_path_that_leaves_the_folder_is_refused(name: str, file: Path, tmp_path: Path) -> None:
    files = contents(file)
    listed(files, name, b"x")
    refused(rewritten(file, files), tmp_path / "into", "not safe to unpack")


def test_a_link_is_refused(file: Path, tmp_path: Path) -> None:
    files = contents(file)
    listed(files, "data/link.png", b"/etc/passwd")
    refused(rewritten(file, files, link="data/link.png"), tmp_path / "into", "is a link")


def test_a_missing_file_a_strange_one_and_a_wrong_one_are_refused(
    file: Path, tmp_path: Path
) -> None:
    files, image = contents(file), "data/korra 1 é.png"
    refused(
        rewritten(file, {k: v for k, v in files.items() if k != image}),
        tmp_path / "into",
        f"lacks {image}",
    )
    refused(rewritten(file, {**files, "more.txt": b""}), tmp_path / "into", "not in its list")
    refused(rewritten(file, {**files, image: files[image][::-1]}), tmp_path / "into", "damaged")
    refused(rewritten(file, {**files, image: b""}), tmp_path / "into", "damaged")
    without = {k: v for k, v in files.items() if k != packed.NAME}
    refused(rewritten(file, without), tmp_path / "into", "no pack: it has no")


def test_names_that_are_one_file_elsewhere_are_refused(file: Path, tmp_path: Path) -> None:
    files, clean = contents(file), contents(file)
    listed(files, "DATA/KORRA 1 É.PNG", b"x")
    refused(rewritten(file, files), tmp_path / "into", "twice")
    files = clean
    listed(files, "preset.toml/x", b"x")
    refused(rewritten(file, files), tmp_path / "into", "a file and a folder")


@pytest.mark.parametrize(
    "listing",
    [
        b"{",
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "name": 1, "preset": "", "release": "", "base": "", "data": "", '
        b'"version": "", "files": {}}',
        b'{"format": 1, "name": "", "preset": "", "release": "", "base": "", "data": "", '
        b'"version": "", "files": {"a": {"sha256": "x", "size": 1}}}',
    ],
)
def test_a_damaged_list_is_refused(listing: bytes, file: Path, tmp_path: Path) -> None:
    files = {**contents(file), packed.NAME: listing}
    refused(rewritten(file, files), tmp_path / "into", "damaged")


def test_a_pack_of_a_newer_program_says_so(file: Path, tmp_path: Path) -> None:
    files = contents(file)
    files[packed.NAME] = files[packed.NAME].replace(b'"format": 1', b'"format": 2')
    refused(rewritten(file, files), tmp_path / "into", "has format 2")


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("hello", "utf-8")
    refused(tmp_path / "x.zip", tmp_path / "into", "no pack")
    with pytest.raises(UserError, match="No such file"):
        unpack.unpack(tmp_path / "gone.zip", tmp_path / "into")
