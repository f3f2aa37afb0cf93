"""Files are written whole or not at all, and never over somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from wrapper.system import whole


def test_all_are_written_with_unix_line_ends(tmp_path: Path) -> None:
    files = {tmp_path / "new ü" / "a": "ä\n", tmp_path / "b": "b\n"}
    assert whole.write(files) == list(files)
    assert [file.read_bytes() for file in files] == ["ä\n".encode(), b"b\n"]
    left = sorted(file.name for file in tmp_path.rglob("*"))
    assert left == ["a", "b", "here", "new ü"]  # a test runs in "here"
    assert whole.write(files) == list(files)  # the same again


def test_another_file_stays_unless_it_is_asked_for(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    second.write_text("mine", "utf-8")
    with pytest.raises(UserError, match="already exists"):
        whole.write({first: "x", second: "y"})
    assert not first.exists()
    assert second.read_text("utf-8") == "mine"
    whole.write({first: "x", second: "y"}, force=True)
    assert second.read_text("utf-8") == "y"


def test_a_file_beside_is_nobodys_to_lose(tmp_path: Path) -> None:
    beside = tmp_path / "a.part"
    beside.write_text("precious", "utf-8")
    whole.write({tmp_path / "a": "x"})
    assert beside.read_text("utf-8") == "precious"


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for wrong in (tmp_path / "file" / "x", tmp_path / "folder"):
        with pytest.raises(UserError, match=rf"cannot write .*{wrong.name}"):
            whole.write({tmp_path / "a": "x", wrong: "y"}, force=True)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["file", "folder", "here"]
