"""A folder of images and captions, as sd-scripts will find them: no sub-folders, by suffix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from kohya_presets.problems import Place, Problem, Severity, of_files, plural

# Those that sd-scripts reads without an extra package.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


@dataclass(frozen=True)
class Found:
    """The images in a folder, and those whose caption has a problem."""

    folder: Path
    images: tuple[Path, ...]
    without_caption: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()  # sd-scripts stops at a caption file of no bytes
    not_utf8: tuple[Path, ...] = ()  # and at one it cannot decode
    deeper: int = 0  # images in sub-folders, where sd-scripts does not look


def images(folder: Path) -> tuple[Path, ...]:
    """Return the images in `folder` itself, sorted by name."""
    return tuple(folder / name for name in sorted(_names(folder)))


def caption(image: Path, extension: str) -> Path:
    """Return where sd-scripts looks for an image's caption; `extension` is used as it is."""
    return image.parent / (image.stem + extension)


def scan(folder: Path, *, caption_extension: str = ".txt") -> Found:
    """Return the images of `folder` and the state of their captions; none if it does not exist."""
    if not folder.is_dir():
        return Found(folder, ())
    found = images(folder)
    states = {image: _state(caption(image, caption_extension)) for image in found}

    def those(state: str) -> tuple[Path, ...]:
        return tuple(image for image in found if states[image] == state)

    deeper = 0 if found else sum(map(is_image, folder.rglob("*")))
    return Found(folder, found, those("none"), those("empty"), those("not utf-8"), deeper)


def problems(found: Found) -> Iterator[Problem]:
    """Yield the problems of a folder of images: errors stop a run, warnings do not."""
    where = Place(found.folder)
    if not found.folder.is_dir():
        hint = "Pass the folder that holds the images with --data."
        yield Problem("no-folder", "error", where, "there is no such folder", hint)
    elif found.deeper:
        message = f"no image in this folder, but {plural(found.deeper, 'image')} in its subfolders"
        hint = "Pass the subfolder itself. Set repeats with --set dataset.num_repeats=N."
        yield Problem("images-deeper", "error", where, message, hint)
    elif not found.images:
        known = ", ".join(sorted(SUFFIXES))
        yield Problem("no-images", "error", where, f"no image in this folder (looked for {known})")
    elif len(found.without_caption) == len(found.images):
        hint = f'Create captions from the file names: kohya-presets captions "{found.folder}"'
        yield Problem("no-captions", "error", where, "no image has a caption", hint)
    elif found.without_caption:
        yield some("caption-missing", "warning", where, found.without_caption, "without a caption")
    if found.empty:
        yield some("caption-empty", "error", where, found.empty, "with an empty caption file")
    if found.not_utf8:
        what = "with a caption file that is not UTF-8"
        yield some("caption-encoding", "error", where, found.not_utf8, what)


def some(
    code: str, severity: Severity, where: Place, files: tuple[Path, ...], what: str
) -> Problem:
    """Return the problem of some images, the first of them named."""
    return Problem(code, severity, where, of_files(files, what))


def is_image(file: Path) -> bool:
    """Return whether sd-scripts takes a file for an image."""
    return is_named_so(file) and file.is_file()


def is_named_so(file: PurePath) -> bool:
    """Return whether sd-scripts takes a name for an image's, whatever stands behind the name."""
    return _is_named_so(file.name)


def _is_named_so(name: str) -> bool:
    # It finds a suffix in lower case or in upper case, but not in mixed case; and its glob does
    # not see names that begin with a dot.
    _, dot, ending = name.rpartition(".")
    suffix = dot + ending
    return (
        suffix.lower() in SUFFIXES
        and suffix in (suffix.lower(), suffix.upper())
        and not name.startswith(".")
    )


def _names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:  # which knows files from folders without asking again
        yield from (e.name for e in entries if _is_named_so(e.name) and e.is_file())


def _state(caption: Path) -> str:
    try:
        return "full" if caption.read_text(encoding="utf-8") else "empty"
    except UnicodeDecodeError:
        return "not utf-8"
    except OSError:
        return "none"
