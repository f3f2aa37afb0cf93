"""Images are renamed to their captions with all that belongs to them, or it is said why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.files import captions
from tests.wrapper.data.captions.folders import held, made, undo_files
from wrapper.data import caption_files
from wrapper.data.captions import carry_out, to_names
from wrapper.data.captions.steps import Move, Plan


def names(plan: Plan) -> dict[str, str]:
    return {step.old.name: step.new.name for step in plan.steps if isinstance(step, Move)}


def do(plan: Plan) -> None:
    carry_out.carry_out(plan, on_undo_file=lambda _: None)


def test_images_of_one_caption_are_numbered_as_people_count(tmp_path: Path) -> None:
    folder = made(
        tmp_path / "set",
        {"IMG_10": b"korra", "IMG_9": b"korra\nmore", "x": b"\xef\xbb\xbfa woman. ", "y": b"Korra"},
    )
    do(to_names.plan(folder))
    assert held(folder) == {
        "korra (1).png": b"image IMG_9",
        "korra (1).txt": b"korra\nmore",
        "korra (2).png": b"image IMG_10",
        "korra (2).txt": b"korra",
        "a woman..png": b"image x",  # as the caption; its file is as it was
        "a woman..txt": b"\xef\xbb\xbfa woman. ",
        "Korra (3).png": b"image y",  # on Windows, Korra (1) is korra (1)
        "Korra (3).txt": b"Korra",
    }


def test_captions_from_these_names_are_the_captions(tmp_path: Path) -> None:
    texts = ("a woman", "a woman", "apollo 11", "x_1", "korra (2)", "mr. x", "東京", "A woman.")
    folder = made(tmp_path / "set", {f"{n}": text.encode() for n, text in enumerate(texts)})
    do(to_names.plan(folder))
    states = {c.state for c in caption_files.plan(folder, overwrite=True)}
    assert states == {"same"}
    again = to_names.plan(folder)
    assert again.steps == ()
    assert len(again.same) == len(texts)


@pytest.mark.parametrize(
    ("caption", "why"),
    [
        ("a woman / a man", "the character /"),
        ('she says "hi"', 'the character "'),
        ("who?", r"the character \?"),
        ("a: b", "the character :"),
        ("aux", "Windows keeps this name for a device"),
        ("con.fused", "Windows keeps this name for a device"),
        ("a\tb", "control character"),
        ("a" * 201, "longer than 200 bytes"),
        ("東" * 67, "longer than 200 bytes"),
        ("-rf", "dash"),
        ("...", "empty"),
        (".hidden woman", "begins or ends with a dot"),
        ("   ", "its caption is empty"),
        ("", "its caption is empty"),
    ],
)
def test_a_caption_that_is_no_name_everywhere_is_left_and_said(
    caption: str, why: str, tmp_path: Path
) -> None:
    folder = made(tmp_path / "set", {"a": caption.encode(), "b": b"fine"})
    plan = to_names.plan(folder)
    assert names(plan) == {"b.png": "fine.png", "b.txt": "fine.txt"}
    ((file, said),) = plan.left
    assert file.name == "a.png"
    assert re.search(why, said)


def test_images_without_a_readable_caption_are_left_and_said(tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"a": None, "b": b"caf\xe9"})
    plan = to_names.plan(folder)
    assert plan.steps == ()
    assert [why for _, why in plan.left] == [
        "it has no caption (a.txt)",
        "its caption is not UTF-8 (b.txt)",
    ]


def test_on_windows_the_whole_path_has_a_limit(tmp_path: Path) -> None:
    folder = made(tmp_path / ("long " * 20).strip(), {"a": b"x" * 190})
    assert to_names.plan(folder, windows=False).left == ()
    ((_, why),) = to_names.plan(folder, windows=True).left
    assert "the path is longer than 259 characters" in why


def test_a_taken_name_is_never_taken_over(tmp_path: Path) -> None:
    """Not from another image, not from an orphaned caption, not if only capitals differ."""
    folder = made(tmp_path / "set", {"a": b"b", "b": b"a", "c": b"korra", "d": b"zuko"})
    (folder / "Korra.txt").write_text("of an image that is gone", "utf-8")
    (folder / "zuko").mkdir()
    plan = to_names.plan(folder)
    moved = {old: new for old, new in names(plan).items() if old.endswith(".png")}
    assert moved == {
        "a.png": "b (1).png",
        "b.png": "a (1).png",
        "c.png": "korra (1).png",
        "d.png": "zuko (1).png",
    }
    assert not {step.new for step in plan.steps if isinstance(step, Move)} & {*folder.iterdir()}


def test_capitals_alone_can_change(tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"KORRA": b"korra"})
    do(to_names.plan(folder))
    assert sorted(held(folder)) == ["korra.png", "korra.txt"]
    carry_out.take_back(undo_files()[0])
    assert sorted(held(folder)) == ["KORRA.png", "KORRA.txt"]


BELONGS = (
    *("IMG_1.caption", "IMG_1.npz", "IMG_1.png.txt", "IMG_1_te_outputs.npz"),
    *("IMG_1_1024x0768_sdxl.npz", "IMG_1_1024x768.npz", "IMG_1-masklabel.png", "IMG_1.jpg"),
)
OTHERS = ("IMG_10.npz", "IMG_1 copy.txt", "IMG_1.old notes.txt", "IMG_12_te_outputs.npz", "x.npz")


def test_what_belongs_to_an_image_goes_with_it_and_nothing_else(tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"IMG_1": b"korra"})
    for name in (*BELONGS, *OTHERS):
        (folder / name).write_bytes(name.encode())
    before = held(folder)
    do(to_names.plan(folder))
    expected = {"korra.png": b"image IMG_1", "korra.txt": b"korra"}
    expected |= {name.replace("IMG_1", "korra"): name.encode() for name in BELONGS}
    expected |= {name: name.encode() for name in OTHERS}
    assert held(folder) == expected
    carry_out.take_back(undo_files()[0])
    assert held(folder) == before


def test_a_longer_name_keeps_its_own_files(tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"a": b"korra", "a.b": b"zuko"})
    assert names(to_names.plan(folder)) == {
        "a.png": "korra.png",
        "a.txt": "korra.txt",
        "a.b.png": "zuko.png",
        "a.b.txt": "zuko.txt",
    }


@pytest.mark.parametrize("place", ["set/masks", "set masks", "conditioning"])
def test_masks_go_along_or_it_is_refused(place: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"a": b"korra", "b": b"zuko"})
    masks = made(tmp_path / place, {"a": None, "other": None, "zuko": None})
    before = held(folder), held(masks)
    with pytest.raises(
        UserError, match=r"1 file with the names of images, such as a\.png"
    ) as error:
        to_names.plan(folder)
    assert "--masks" in str(error.value.hint)
    assert names(to_names.plan(folder, leave_masks=True))["a.png"] == "korra.png"
    do(to_names.plan(folder, masks=(masks,)))
    assert (masks / "korra.png").read_bytes() == b"image a"
    assert (masks / "other.png").exists()
    assert (folder / "zuko (1).png").exists()  # there is a mask of this name already
    carry_out.take_back(undo_files()[0])
    assert (held(folder), held(masks)) == before


def test_folders_that_have_nothing_to_do_with_it_do_not_matter(tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"a": b"korra"})
    made(tmp_path / "another set", {"a": None})
    made(folder / "unrelated", {"b": None})
    assert names(to_names.plan(folder))["a.png"] == "korra.png"
    with pytest.raises(UserError, match="there is no folder"):
        to_names.plan(folder, masks=(tmp_path / "gone",))


def test_a_name_that_already_says_the_caption_stays(tmp_path: Path) -> None:
    folder = made(tmp_path / "set", {"korra (7)": b"korra", "zuko_01": b"zuko", "z": b"zuko"})
    plan = to_names.plan(folder)
    assert names(plan) == {"z.png": "zuko (1).png", "z.txt": "zuko (1).txt"}
    assert captions.from_name("zuko (1)") == "zuko"
    assert sorted(file.name for file in plan.same) == ["korra (7).png", "zuko_01.png"]
