from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.files import image_folder


def put(folder: Path, **files: str | bytes | None) -> Path:
    """Make empty images, each with its caption where it is not None; `_` in names is a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, caption in files.items():
        image = folder / name.replace("_", ".")
        image.touch()
        if isinstance(caption, bytes):
            image.with_suffix(".txt").write_bytes(caption)
        elif caption is not None:
            image.with_suffix(".txt").write_text(caption, "utf-8")
    return folder


def codes(folder: Path) -> list[tuple[str, str]]:
    return [(p.code, p.severity) for p in image_folder.problems(image_folder.scan(folder))]


def test_images_with_captions_are_no_problem(tmp_path: Path) -> None:
    folder = put(tmp_path / "my [best] pictures ü", a_png="a", b_JPG="b", c_webp="c")
    found = image_folder.scan(folder)
    assert [image.name for image in found.images] == ["a.png", "b.JPG", "c.webp"]
    assert codes(folder) == []


def test_only_suffixes_that_sd_scripts_looks_for_count(tmp_path: Path) -> None:
    put(tmp_path, a_Png="mixed case", b_gif="another", c_txt=None)
    assert image_folder.images(tmp_path) == ()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, [("no-images", "error")]),
        ({"a_png": None}, [("no-captions", "error")]),
        ({"a_png": None, "b_png": "b"}, [("caption-missing", "warning")]),
        ({"a_png": ""}, [("caption-empty", "error")]),
        ({"a_png": "ä".encode("latin-1")}, [("caption-encoding", "error")]),
    ],
)
def test_each_fault_has_its_code(
    files: dict[str, str | bytes | None], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert codes(put(tmp_path, **files)) == expected


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    assert codes(tmp_path / "gone") == [("no-folder", "error")]


def test_images_in_sub_folders_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "10_korra", a_png="a", b_png="b")
    (problem,) = image_folder.problems(image_folder.scan(tmp_path))
    assert problem.code == "images-deeper"
    assert "2 images in its subfolders" in problem.message


def test_some_names_are_told_not_all(tmp_path: Path) -> None:
    put(tmp_path, **{f"{n}_png": None for n in "abcde"}, z_png="z")
    (problem,) = image_folder.problems(image_folder.scan(tmp_path))
    assert problem.message == "5 images without a caption: a.png, b.png, c.png, ..."


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.png", True),
        ("a.JPEG", True),
        ("a.Png", False),
        ("png", False),
        (".png", False),
        ("a.b.webp", True),
        ("a.png.txt", False),
        ("a.", False),
    ],
)
def test_a_name_is_an_images_by_its_ending(name: str, is_one: bool) -> None:
    assert image_folder.is_named_so(Path(name)) is is_one
