"""What a rehearsal at true size says of its process: its own memory, not the files it reads."""

from __future__ import annotations

import importlib
import mmap
import sys
from pathlib import Path
from typing import Any

import pytest

from wrapper.rehearsal.adapt import ROOM

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
MIB = 2**20


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOM)
    return importlib.import_module("kp_full_size")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own memory")
def test_pages_of_a_file_are_not_the_processs_own(meter: Any, tmp_path: Path) -> None:
    file = tmp_path / "base"
    file.write_bytes(b"x" * 64 * MIB)
    before = meter._own()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert sum(pages[at] for at in range(0, 64 * MIB, 4096)) == 64 * MIB // 4096 * ord("x")
        assert meter._own() < before + 16 * MIB
    # Of the system, and not of what this process has had and freed.
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, 64 * MIB, flags=private) as held:
        held.write(b"y" * 64 * MIB)
        assert meter._own() >= before + 60 * MIB


def test_elsewhere_the_most_that_the_process_had_is_told(meter: Any, tmp_path: Path) -> None:
    assert meter._own(tmp_path / "no such file") == 0
