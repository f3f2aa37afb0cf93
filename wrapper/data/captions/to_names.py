"""Plan the renaming of images to their captions, with all files that belong to them.

Every new name is free before anything is moved, so no file is ever in the way of another, and
none has a third name in between.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kohya_presets.dataset import caption as caption_of
from kohya_presets.errors import UserError
from kohya_presets.files import captions, image_folder
from kohya_presets.problems import plural
from wrapper.data import caption_files
from wrapper.data.captions import disk
from wrapper.data.captions.steps import Move, Plan
from wrapper.system import names

LONGEST = 200  # bytes of a name without its ending: sd-scripts' caches add _1024x1024_sdxl.npz
LONGEST_PATH = 259  # UTF-16 units of a whole path, on Windows: MAX_PATH without its end
# What follows an image's name in the names of files that belong to it: a caption (IMAGE.txt,
# IMAGE.png.txt), sd-scripts' caches, OneTrainer's masks.
_TAILS = (
    re.compile(r"\.\w+$"),
    re.compile(r"\.\w+\.\w+$"),
    re.compile(r"_te_outputs\.npz$"),
    re.compile(r"_\d+x\d+(_\w+)?\.npz$"),
    re.compile(r"-(masklabel|condlabel)\.\w+$"),
)
_LABEL = re.compile(r"-(masklabel|condlabel)$")
_MASKS = re.compile(r"mask|conditioning|control|label", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)")


def plan(
    folder: Path,
    *,
    extension: str = ".txt",
    masks: Sequence[Path] = (),
    leave_masks: bool = False,
    windows: bool = os.name == "nt",
) -> Plan:
    """Return the renaming of every image whose name does not say its caption.

    `masks` are further folders in which files of the same name belong to an image.

    Raises:
        UserError: no such folder, or no image in it; or other folders have files of these names,
            and it was not said what becomes of them.
    """
    folder = folder.absolute()
    others = [mask.absolute() for mask in masks]
    for other in others:
        if not other.is_dir():
            raise UserError(f"there is no folder {other}", hint="--masks takes a folder of masks.")
    stems = _stems(caption_files.images(folder))
    new, left, same = _named(folder, stems, extension, others, windows)
    if not leave_masks:
        _require_masks(folder, others, set(new))
    steps = [
        Move(file, file.with_name(new[stem] + file.name[len(stem) :]), *_stamp(file))
        for place in (folder, *others)
        for stem, file in sorted(_belonging(place, stems))
        if stem in new
    ]
    return Plan(folder, tuple(steps), tuple(left), tuple(same))


def _stems(images: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the images by their name without ending; a mask of OneTrainer's is no image."""
    stems: dict[str, list[Path]] = {}
    for image in sorted(images, key=_natural):
        stems.setdefault(image.stem, []).append(image)
    return {
        s: i for s, i in stems.items() if not _LABEL.search(s) or _LABEL.sub("", s) not in stems
    }


def _named(
    folder: Path, stems: dict[str, list[Path]], extension: str, others: list[Path], windows: bool
) -> tuple[dict[str, str], list[tuple[Path, str]], list[Path]]:
    """Return old and new stems, images that are left alone and why, and those named already."""
    new: dict[str, str] = {}
    left: list[tuple[Path, str]] = []
    same: list[Path] = []
    wanted: dict[str, list[tuple[str, str]]] = {}
    for stem, images in stems.items():
        text, why = _caption(image_folder.caption(images[0], extension))
        why = why or _fault(images, text, windows)
        if why:
            left += [(image, why) for image in images]
        else:
            wanted.setdefault(_key(text), []).append((stem, text))
    taken = _taken((folder, *others))
    for group in wanted.values():
        for stem, text in group:
            if captions.from_name(stem) == text:
                same += stems[stem]
                continue
            new[stem] = next(
                name
                for name in _names(text, alone=len(group) == 1)
                if taken.get(_key(name), {stem}) == {stem}
            )
            taken.setdefault(_key(new[stem]), set()).add(new[stem])
    return new, left, same


def _caption(file: Path) -> tuple[str, str]:
    """Return the caption that sd-scripts reads, without a byte-order mark, or why there is none."""
    try:
        data = disk.read(file)
    except OSError as error:
        return "", f"its caption cannot be read ({error.strerror})"
    if data is None:
        return "", f"it has no caption ({file.name})"
    found = caption_of.of_bytes(file, data)
    if found.fault == "encoding":
        return "", f"its caption is not UTF-8 ({file.name})"
    text = found.text.removeprefix(caption_of.MARK).strip()
    return text, "" if text else f"its caption is empty ({file.name})"


def _fault(images: list[Path], text: str, windows: bool) -> str:
    """Return why a caption cannot be a name on every system; "" if it can."""
    name = captions.to_name(text, 9999)  # as long as it may become
    # Its ending follows: a dot at the end of a sentence is allowed.
    fault = names.fault(text.rstrip("."), longest=LONGEST) if text.strip(". ") else "it is empty"
    if fault:
        return f"its caption cannot be a file name: {fault}"
    if captions.from_name(name) != text:
        return "its caption cannot be read from a name again"
    for image in images if windows else ():
        path = str(image.with_name(name + image.suffix))
        if len(path.encode("utf-16-le", "surrogatepass")) // 2 > LONGEST_PATH:
            return f"with its caption the path is longer than {LONGEST_PATH} characters"
    return ""


def _names(text: str, *, alone: bool) -> Iterator[str]:
    if alone:
        yield captions.to_name(text)
    number = 1
    while True:
        yield captions.to_name(text, number)
        number += 1


def _taken(folders: Iterable[Path]) -> dict[str, set[str]]:
    """Return the stems of all files, by what Windows and macOS take for the same name."""
    taken: dict[str, set[str]] = {}
    for folder in folders:
        for name in os.listdir(folder):  # noqa: PTH208 (names, not paths: of many files)
            for stem in {name, *_candidates(name)}:
                taken.setdefault(_key(stem), set()).add(stem)
    return taken


def _belonging(folder: Path, stems: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield each file of a folder that belongs to an image: the image's stem, and the file."""
    known = set(stems)
    for name in os.listdir(folder):  # noqa: PTH208 (as above)
        if owners := [stem for stem in _candidates(name) if stem in known]:
            file = folder / name
            if not file.is_dir() or file.is_symlink():
                yield max(owners, key=len), file


def _candidates(name: str) -> Iterator[str]:
    for tail in _TAILS:
        if found := tail.search(name):
            yield name[: found.start()]


def _require_masks(folder: Path, masks: list[Path], stems: set[str]) -> None:
    """Raise UserError where masks lie that would lose their images."""
    known = {mask.resolve() for mask in masks}
    beside = [f for f in folder.parent.iterdir() if f != folder and _MASKS.search(f.name)]
    for place in sorted([*folder.iterdir(), *beside]):
        if place.name.startswith(".") or not place.is_dir() or place.resolve() in known:
            continue
        if found := sorted(file.name for _, file in _belonging(place, stems)):
            raise UserError(
                f"{place} has {plural(len(found), 'file')} with the names of images, such as "
                f"{found[0]}: they would lose their images",
                hint=f'Rename them too with --masks "{place}", or leave them with --leave-masks.',
            )


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.lstat()
    return stat.st_size, stat.st_mtime_ns


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _natural(image: Path) -> list[tuple[int, str]]:
    """Return what sorts 2 before 10."""
    parts = _NUMBER.split(image.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
