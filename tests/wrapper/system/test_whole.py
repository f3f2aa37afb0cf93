"""Files are written whole or not at all, and never over somebody else's."""

from __future__ import annotations

import contextlib
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


def failing(monkeypatch: pytest.MonkeyPatch, method: str, name: str, error: BaseException) -> None:
    """Let a method of Path fail for files of this name: as source, or as what is replaced."""
    real = getattr(Path, method)

    def wrong(self: Path, *targets: Path, **options: bool) -> object:
        if name in (self.name, *(target.name for target in targets)):
            raise error
        return real(self, *targets, **options)

    monkeypatch.setattr(Path, method, wrong)


@pytest.mark.parametrize("error", [OSError(13, "in use"), KeyboardInterrupt()])
@pytest.mark.parametrize("bad", ["b", "c"])
def test_where_a_later_file_fails_the_earlier_ones_come_back(
    bad: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"a": b"1", "b": b"2"}  # c is new
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    wanted = {
        tmp_path / "a": b"x",
        tmp_path / "new" / "n": b"n",
        tmp_path / "b": b"y",
        tmp_path / "c": b"z",
    }
    failing(monkeypatch, "replace", bad, error)
    with pytest.raises(type(error)):
        whole.put(wanted)
    assert {f.name: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == old
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_met_before_the_first_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What puts the old files back is made first: restoring takes no space."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    failing(monkeypatch, "replace", "b", OSError(13, "in use"))
    written: list[Path] = []
    real = whole._beside

    def beside(file: Path, content: bytes) -> Path:
        if first.read_bytes() != b"1":
            raise OSError(28, "No space left on device")
        written.append(file)
        return real(file, content)

    monkeypatch.setattr(whole, "_beside", beside)
    with pytest.raises(OSError, match="in use"):
        whole.put({first: b"x", second: b"y"})
    assert written
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")


def test_a_file_whose_compiled_form_cannot_be_deleted_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, other = tmp_path / "kp_a.py", tmp_path / "train.py"
    compiled = tmp_path / "__pycache__" / "kp_a.cpython-311.pyc"
    compiled.parent.mkdir()
    for file in (module, other, compiled):
        file.write_bytes(b"before")
    failing(monkeypatch, "unlink", compiled.name, OSError(13, "in use"))
    with pytest.raises(OSError, match="in use"):
        whole.put({other: b"after", module: None})
    assert [f.read_bytes() for f in (module, other, compiled)] == [b"before"] * 3


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "mine.toml", tmp_path / "mine.toml"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link.symlink_to(real)
    whole.write({link: "new\n"}, force=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"new\n"
    round_it = tmp_path / "round"
    round_it.symlink_to(round_it)
    with contextlib.suppress(UserError):  # a newer Python replaces it
        whole.write({round_it: "new\n"}, force=True)


def test_a_file_with_two_names_is_written_under_one_of_them(tmp_path: Path) -> None:
    """Copies of a checkout share their files so."""
    file, other = tmp_path / "a.py", tmp_path / "b.py"
    for change in (b"new\n", None):
        file.write_bytes(b"old\n")
        other.unlink(missing_ok=True)
        other.hardlink_to(file)
        whole.put({file: change, tmp_path / "c.py": b"c\n"})
        assert other.read_bytes() == b"old\n"
        assert file.exists() is (change is not None)
        assert not file.exists() or file.read_bytes() == change
