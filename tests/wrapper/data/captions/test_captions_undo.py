"""Every action is undone byte for byte, also one that was killed at any moment."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kohya_presets.dataset.captioning.edits import Edits, Trigger
from kohya_presets.dataset.captioning.said import Said
from kohya_presets.errors import UserError
from tests.wrapper.data.captions.folders import held, made, undo_files
from wrapper.data import caption_files
from wrapper.data.captions import carry_out, edit, from_metadata, to_names
from wrapper.system import paths

Action = Callable[[Path], None]
WORDS = (
    "a woman",
    "a man",
    "korra (2)",
    "東京 girl",
    "a\u0308 cat",
    "x.y",
    "IMG_1",
    "b",
    "B",
    "con",
)
NAMES = ("IMG_1", "IMG_2", "b", "B (1)", "korra (1)", "x", "x.y", "ü ~ '", "a woman", "a woman (1)")
CAPTIONS = st.one_of(
    st.none(),
    st.sampled_from(WORDS).map(str.encode),
    st.sampled_from(WORDS).map(lambda text: f"\ufeff {text}\r\nmore\r".encode()),
    st.binary(max_size=12),
)
FOLDERS = st.dictionaries(st.sampled_from(NAMES), CAPTIONS, min_size=1, max_size=6)
EDITS = st.builds(
    Edits,
    first_line=st.booleans(),
    replacements=st.lists(
        st.tuples(st.sampled_from("aoz 東"), st.text("ab ü", max_size=3)), max_size=2
    ).map(tuple),
    trigger=st.sampled_from([None, Trigger("kncr"), Trigger("kncr", "front")]),
    prefix=st.sampled_from(["", "photo of "]),
    all_lines=st.booleans(),
)


def edits(made_of: Edits) -> Action:
    def act(folder: Path) -> None:
        carry_out.carry_out(edit.plan(folder, made_of), on_undo_file=lambda _: None)

    return act


def renamed(folder: Path) -> None:
    carry_out.carry_out(to_names.plan(folder), on_undo_file=lambda _: None)


def named(folder: Path) -> None:
    caption_files.write(caption_files.plan(folder, overwrite=True))


def embedded(folder: Path) -> None:
    def read(image: Path) -> Said:
        return Said(f"of {image.stem}", "test") if "x" not in image.stem else Said("", "", "none")

    caption_files.write(from_metadata.plan(folder, overwrite=True, read=read)[0])


ACTIONS = st.one_of(EDITS.map(edits), st.sampled_from([renamed, renamed, named, embedded]))
ONCE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class KilledError(BaseException):
    """Our process is no more: nothing catches this."""


@contextmanager
def killed_at(call: int, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> Iterator[list[int]]:
    """Kill the process at one of its calls that change a name, before it or after it."""
    count = [0]

    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def rename(*args: Path) -> None:
            count[0] += 1
            if count[0] > call or (count[0] == call and not after):
                raise KilledError
            real(*args)
            if count[0] == call:
                raise KilledError

        return rename

    with monkeypatch.context() as patched:
        for function in ("replace", "rename"):
            patched.setattr(os, function, dying(getattr(os, function)))
        with suppress(KilledError):
            yield count


def emptied() -> None:
    for file in undo_files():
        file.unlink()


@ONCE
@given(FOLDERS, ACTIONS)
def test_an_action_is_undone_byte_for_byte(captions: dict[str, bytes | None], act: Action) -> None:
    emptied()
    with tempfile.TemporaryDirectory() as place:
        folder = made(Path(place) / "set", captions)
        before = held(folder)
        act(folder)
        changed = held(folder) != before
        assert len(undo_files()) == changed  # nothing to undo, no file
        if changed:
            carry_out.take_back(undo_files()[0])
        assert held(folder) == before
        if changed:
            assert carry_out.take_back(undo_files()[0]) == ()  # again: nothing is left to undo


@ONCE
@given(FOLDERS, ACTIONS, st.integers(1, 14), st.integers(1, 14), st.booleans())
def test_killed_anywhere_each_file_is_old_or_new_and_is_undone(
    captions: dict[str, bytes | None], act: Action, first: int, second: int, after: bool
) -> None:
    emptied()
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as monkeypatch:
        folder = made(Path(place) / "set", captions)
        whole = made(Path(place) / "whole", captions)
        before = held(folder)
        act(whole)
        new = held(whole)
        emptied()
        with killed_at(first, monkeypatch, after=after):
            act(folder)
        found = held(folder)
        for name, data in found.items():
            assert data in (before.get(name), new.get(name))
        # Nothing is lost: an image is there, by its old or its new name.
        images = {data for name, data in before.items() if name.endswith(".png")}
        assert images == {data for name, data in found.items() if name.endswith(".png")}
        if found != before:
            (undo_file,) = undo_files()
            with killed_at(second, monkeypatch, after=after):  # and undoing it is killed too
                carry_out.take_back(undo_file)
            carry_out.take_back(undo_file)
        assert held(folder) == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "set", {"a": b"a woman", "b": b"a man", "c": b"a girl"})


PREFIX = edits(Edits(prefix="photo of "))


@pytest.mark.parametrize("call", [2, 3, 4])
@pytest.mark.parametrize("act", [PREFIX, renamed])
def test_where_the_disk_fails_all_is_as_it_was(
    call: int, act: Action, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(folder)
    count = 0

    def failing(real: Callable[..., None]) -> Callable[..., None]:
        def rename(*args: Path) -> None:
            nonlocal count
            count += 1
            if count == call:
                raise OSError(28, "No space left on device", str(args[1]))
            real(*args)

        return rename

    for function in ("replace", "rename"):
        monkeypatch.setattr(os, function, failing(getattr(os, function)))
    with pytest.raises(UserError, match=r"No space left .*; all files are as they were"):
        act(folder)
    assert held(folder) == before


def test_without_room_for_the_undo_file_nothing_is_changed(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(folder)
    home.write_text("a file where the folder should be", "utf-8")
    with pytest.raises(UserError, match="nothing was changed"):
        PREFIX(folder)
    assert held(folder) == before


def test_the_undo_file_is_there_before_anything_is_changed(folder: Path) -> None:
    before = held(folder)
    seen = []

    def look(file: Path) -> None:
        seen.append((file.is_file(), held(folder) == before, file.is_relative_to(paths.home())))

    carry_out.carry_out(edit.plan(folder, Edits(prefix="x ")), on_undo_file=look)
    assert seen == [(True, True, True)]


def test_an_undo_refuses_by_name_what_has_changed_since(folder: Path) -> None:
    PREFIX(folder)
    (folder / "b.txt").write_text("my own words", "utf-8")
    (folder / "c.txt").unlink()
    after = held(folder)
    with pytest.raises(UserError, match=r"2 files changed since; nothing was undone: b.txt, c.txt"):
        carry_out.take_back(undo_files()[0])
    assert held(folder) == after


def test_an_undo_of_names_refuses_an_image_that_was_edited(folder: Path) -> None:
    renamed(folder)
    (folder / "a man.png").write_bytes(b"sharper")
    (folder / "a.png").write_bytes(b"somebody else's")
    after = held(folder)
    with pytest.raises(UserError, match=r"2 files changed since.*a man.png"):
        carry_out.take_back(undo_files()[0])
    assert held(folder) == after


def test_a_caption_that_was_new_goes_again_and_no_other(tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"korra (1)": None, "korra (2)": b"mine"})
    caption_files.write(caption_files.plan(folder))
    assert (folder / "korra (1).txt").read_bytes() == b"korra"
    carry_out.take_back(undo_files()[0])
    assert sorted(held(folder)) == ["korra (1).png", "korra (2).png", "korra (2).txt"]


def test_a_folder_that_was_moved_is_said(folder: Path, tmp_path: Path) -> None:
    PREFIX(folder)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="does not exist any more"):
        carry_out.take_back(undo_files()[0])


def test_an_undo_file_of_somebody_else_writes_nothing_beyond_it(
    folder: Path, tmp_path: Path
) -> None:
    PREFIX(folder)
    good = json.loads(undo_files()[0].read_text("utf-8"))
    step = good["steps"][0]
    bad = [
        *("", "[]", "3", "{}", "{" * 10_000, '{"format": 2}'),
        json.dumps({**good, "mark": "../../x"}),
        json.dumps({**good, "steps": [{**step, "file": "a.txt"}]}),
        json.dumps({**good, "steps": [{**step, "before": 3}]}),
        json.dumps({**good, "steps": [{"old": step["file"], "new": "../x", "size": 1}]}),
        json.dumps({**good, "steps": [{"old": step["file"], "new": "", "size": 1}]}),
    ]
    before = held(folder)
    for text in bad:
        file = tmp_path / "undo.json"
        file.write_text(text, "utf-8")
        with pytest.raises(UserError, match="not an undo file"):
            carry_out.take_back(file)
    with pytest.raises(UserError, match="cannot read"):
        carry_out.take_back(tmp_path / "gone.json")
    assert held(folder) == before


def test_permissions_stay(folder: Path) -> None:
    (folder / "a.txt").chmod(0o640)
    PREFIX(folder)
    assert (folder / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (folder / "a.txt").read_bytes() == b"photo of a woman"


def test_links_and_protected_captions_are_left_alone(folder: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.txt"
    shared.write_text("a woman", "utf-8")
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to(shared)
    (folder / "b.txt").chmod(0o444)
    plan = edit.plan(folder, Edits(prefix="x "))
    left = {file.name: why for file, why in plan.left}
    assert left == {"a.txt": "it is a link to another file", "b.txt": "it is read-only"}
    planned = caption_files.plan(folder, overwrite=True)
    assert {c.file.name: c.state for c in planned} == {
        "a.txt": "kept",
        "b.txt": "kept",
        "c.txt": "overwritten",
    }


def test_a_file_that_changes_between_plan_and_action_is_not_overwritten(folder: Path) -> None:
    plan = edit.plan(folder, Edits(prefix="x "))
    (folder / "c.txt").write_text("meanwhile", "utf-8")
    with pytest.raises(UserError, match=r"c\.txt: another program has changed it"):
        carry_out.carry_out(plan, on_undo_file=lambda _: None)
    assert held(folder)["a.txt"] == b"a woman"
    assert held(folder)["c.txt"] == b"meanwhile"


def test_what_a_killed_action_had_half_written_goes_with_the_undo(folder: Path) -> None:
    before = held(folder)
    PREFIX(folder)
    mark = json.loads(undo_files()[0].read_text("utf-8"))["mark"]
    for name, data in before.items():  # as if it had been killed at its first caption
        (folder / name).write_bytes(data)
    (folder / f".kohya-presets-{mark}.part").write_bytes(b"photo o")
    (folder / ".kohya-presets-00000000.part").write_bytes(b"of another action")
    assert carry_out.take_back(undo_files()[0]) == ()
    assert sorted(held(folder).keys() - before.keys()) == [".kohya-presets-00000000.part"]
