from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from wrapper.conversions import outputs
from wrapper.conversions.outputs import Wanted

KORRA = Wanted(Path("/a/korra ü.safetensors"), "korra ü", ("16",))
ASAMI = Wanted(Path("/a/asami.safetensors"), "asami", ("16",))


def places(out: Path, *wanted: Wanted, keep: tuple[Path, ...] = ()) -> list[tuple[Path, ...]]:
    return outputs.places(out, wanted, keep)


def test_a_file_is_for_one_input(tmp_path: Path) -> None:
    out = tmp_path / "lora ü.safetensors"
    assert places(out, KORRA) == [(out,)]
    with pytest.raises(UserError, match="there are 2 inputs") as caught:
        places(out, KORRA, ASAMI)
    assert "folder" in (caught.value.hint or "")


def test_a_folder_is_for_any_number(tmp_path: Path) -> None:
    made = [(tmp_path / "korra ü-16.safetensors",), (tmp_path / "asami-16.safetensors",)]
    assert places(tmp_path, KORRA, ASAMI) == made
    assert places(tmp_path / "new", KORRA) == [(tmp_path / "new" / "korra ü-16.safetensors",)]


def test_the_folder_may_be_relative() -> None:
    assert places(Path("loras"), ASAMI) == [(Path.cwd() / "loras" / "asami-16.safetensors",)]


def test_several_ranks_are_several_files(tmp_path: Path) -> None:
    both = Wanted(Path("/a/korra.safetensors"), "korra", ("16", "32"))
    assert places(tmp_path, both) == [
        (tmp_path / "korra-16.safetensors", tmp_path / "korra-32.safetensors")
    ]
    assert places(tmp_path / "k.safetensors", both) == [
        (tmp_path / "k.safetensors", tmp_path / "k-dim32.safetensors")
    ]


@pytest.mark.parametrize("name", ["korra ü", "KORRA Ü"])
def test_two_inputs_of_one_name_are_an_error(name: str, tmp_path: Path) -> None:
    other = Wanted(Path("/b/korra ü.safetensors"), name, ("16",))
    with pytest.raises(UserError, match="would both become"):
        places(tmp_path, KORRA, other)


@pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "a.BIN"])
def test_a_pickle_is_never_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a LoRA is written as \.safetensors"):
        places(tmp_path / name, KORRA)


def test_a_file_of_another_kind_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(UserError, match="a file that does not end with"):
        places(tmp_path / "notes.txt", KORRA)


def test_what_is_read_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "korra ü-16.safetensors"
    file.write_bytes(b"mine")
    with pytest.raises(UserError, match="is read, so it cannot be written"):
        places(tmp_path, KORRA, keep=(file,))


def test_a_name_that_windows_forbids_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be used as a file name"):
        places(tmp_path, Wanted(Path("/a/what?.safetensors"), "what?", ("16",)))


def test_what_exists_is_an_error_without_force(tmp_path: Path) -> None:
    file, folder = tmp_path / "there.safetensors", tmp_path / "folder.safetensors"
    file.write_bytes(b"")
    folder.mkdir()
    with pytest.raises(UserError, match="already exists"):
        outputs.require_writable([(file,)], force=False)
    outputs.require_writable([(file,)], force=True)
    with pytest.raises(UserError, match="it is a folder"):
        outputs.require_writable([(folder,)], force=True)
