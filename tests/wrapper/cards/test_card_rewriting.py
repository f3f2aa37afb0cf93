"""Another header for a LoRA: every byte of its tensors stays, and a killed process changes none."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from kohya_presets.errors import UserError
from kohya_presets.loras import info, weights
from tests import lora_files, tensors
from tests.conftest import ROOT
from wrapper.cards import rewriting

TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)
METADATA = st.dictionaries(TEXTS, TEXTS, max_size=6)
HASH = {"sshs_model_hash": "x", "modelspec.hash_sha256": "0xy", "sshs_legacy_hash": "z"}


def data(file: Path) -> bytes:
    content = file.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name != "here")


def metadata(file: Path) -> dict[str, str]:
    with safe_open(file, "numpy") as opened:
        return dict(opened.metadata() or {})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=METADATA, changes=METADATA)
def test_tensors_are_the_same_bytes_and_safetensors_reads_all(
    tmp_path: Path, before: dict[str, str], changes: dict[str, str]
) -> None:
    file = lora_files.write(tmp_path / "a ü.safetensors", lora_files.whole(dtype="float16"), before)
    out = tmp_path / "new ü" / "b.safetensors"
    old = file.read_bytes()
    rewriting.rewrite(file, out, changes)
    assert file.read_bytes() == old
    assert data(out) == data(file)
    assert metadata(out) == {**before, **changes}
    one, other = load_file(file), load_file(out)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert all(one[name].dtype == other[name].dtype for name in one)
    assert (out.stat().st_size - len(data(out))) % 8 == 0  # the tensors begin aligned
    assert names(out.parent) == [out.name]
    rewriting.rewrite(out, out, {"x": "y"})  # in place
    assert data(out) == data(file)
    assert metadata(out) == {**before, **changes, "x": "y"}
    assert names(out.parent) == [out.name]


def test_hashes_that_were_true_stay_true(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole())
    true = info.of(file).data_sha256
    marked = {**HASH, "sshs_model_hash": true, "modelspec.hash_sha256": f"0x{true}"}
    lora_files.write(file, lora_files.whole(), marked)
    rewriting.rewrite(file, file, {"modelspec.title": "x" * 5000})
    found = info.of(file)
    assert found.data_sha256 == true
    assert {key: found.metadata[key] for key in marked} == marked


def test_a_file_without_metadata_gets_some(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", tensors.lora())
    rewriting.rewrite(file, file, {"a": "b"})
    assert weights.read(file).metadata == {"a": "b"}


def raw(file: Path, header: str, size: int) -> Path:
    text = header.encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
    return file


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ('{"__metadata__":{"a":1},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "texts"),
        ('{"__metadata__":{"a":"1","a":"2"},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
         "twice"),
        ('{"__metadata__":3,"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "header"),
    ],
)  # fmt: skip
def test_a_header_that_nobody_else_reads_is_refused(tmp_path: Path, header: str, says: str) -> None:
    file = raw(tmp_path / "a.safetensors", header, 1)
    before = file.read_bytes()
    with pytest.raises(UserError, match=says):
        rewriting.rewrite(file, file, {"a": "b"})
    assert file.read_bytes() == before
    assert names(tmp_path) == ["a.safetensors"]


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    file = tensors.write(tmp_path / "a.safetensors", tensors.lora(), cut=3)
    with pytest.raises(UserError, match="incomplete"):
        rewriting.rewrite(file, tmp_path / "b.safetensors", {"a": "b"})
    assert names(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "no space"), "disk is full"),
        (OSError(errno.EIO, "broken"), "broken"),
    ],
)
def test_a_disk_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole())
    before = file.read_bytes()

    def failing(number: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(UserError, match=says):
        rewriting.rewrite(file, file, {"a": "b"})
    assert file.read_bytes() == before
    assert names(tmp_path) == ["a.safetensors"]


def test_bytes_that_a_disk_loses_replace_no_good_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole())
    before = file.read_bytes()
    real = rewriting._copy

    def losing(old: Any, new: Any) -> str:
        digest = real(old, new)
        new.seek(-3, os.SEEK_END)
        new.write(b"\xff")
        return digest

    monkeypatch.setattr(rewriting, "_copy", losing)
    with pytest.raises(UserError, match="not what was read"):
        rewriting.rewrite(file, file, {"a": "b"})
    assert file.read_bytes() == before
    assert names(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize("moment", ["_copy", "_verify"])
def test_a_killed_rewrite_leaves_the_old_file(tmp_path: Path, moment: str) -> None:
    """While tensors are copied, and when all is written but the name."""
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole())
    before = file.read_bytes()
    code = (
        "import sys, time; from pathlib import Path; from wrapper.cards import rewriting\n"
        f"real = rewriting.{moment}\n"
        "def held(*words):\n"
        "    Path('held').touch(); time.sleep(600)\n"
        f"rewriting.{moment} = held\n"
        "file = Path(sys.argv[1]); rewriting.rewrite(file, file, {'a': 'b'})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = psutil.Popen([sys.executable, "-c", code, str(file)], env=environment)
    limit = time.monotonic() + 60
    while not Path("held").exists():
        assert time.monotonic() < limit, "waited in vain"
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert file.read_bytes() == before
    rewriting.rewrite(file, file, {"a": "c"})  # what was left beside it is in nobody's way
    assert weights.read(file).metadata["a"] == "c"


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "real" / "a.safetensors", lora_files.whole())
    link = tmp_path / "a.safetensors"
    try:
        link.symlink_to(file)
    except OSError:
        pytest.skip("links cannot be made here")
    file.chmod(0o640)
    rewriting.rewrite(link, link, {"a": "b"})
    assert link.is_symlink()
    assert weights.read(file).metadata == {"a": "b"}
    assert file.stat().st_mode & 0o777 == 0o640 or os.name == "nt"


def test_entries_of_tensors_are_kept_as_they_are(tmp_path: Path) -> None:
    """Also what we do not know: a later version of the format may add to them."""
    entry = '{"dtype":"F4","shape":[2],"data_offsets":[0,1],"more":[1.5,null]}'
    file = raw(tmp_path / "a.safetensors", f'{{"\\u202ex":{entry}}}', 1)
    rewriting.rewrite(file, file, {"ü": "\U0001f600"})
    text = file.read_bytes()[8:-1]
    found = json.loads(text)
    assert found == {"\u202ex": json.loads(entry), "__metadata__": {"ü": "\U0001f600"}}
