"""Check images before sd-scripts does: a broken one makes it stop with a division by zero."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from kohya_presets.files import image_folder
from kohya_presets.files.image_folder import Found
from kohya_presets.problems import Place, Problem


def problems(found: Found) -> Iterator[Problem]:
    """Yield what is wrong with a folder, its captions, and its images.

    The beginning of each image is read: some milliseconds for a hundred of them.
    """
    yield from image_folder.problems(found)
    if files := tuple(image for image in found.images if not _opens(image)):
        where = Place(found.folder)
        yield image_folder.some("image-broken", "error", where, files, "that cannot be read")


def _opens(image: Path) -> bool:
    """Return whether a file begins as an image does; what comes after its header is not read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as of a large one
            with Image.open(image) as opened:
                return all(opened.size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
