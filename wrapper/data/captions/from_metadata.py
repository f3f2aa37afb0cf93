"""Plan captions from what the images themselves hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kohya_presets.dataset.captioning.said import Said
from kohya_presets.files import image_folder
from wrapper.data import caption_files
from wrapper.data.caption_files import Caption
from wrapper.data.captions import pictures

Left = tuple[tuple[Path, str], ...]


def plan(
    folder: Path,
    *,
    overwrite: bool = False,
    extension: str = ".txt",
    read: Callable[[Path], Said] = pictures.caption,
) -> tuple[tuple[Caption, ...], Left]:
    """Return the captions that were found in images, and the images without one and why.

    Raises:
        UserError: no such folder, or no image in it.
    """
    found: dict[Path, set[Said]] = {}
    left: list[tuple[Path, str]] = []
    for image in caption_files.images(folder):
        said = read(image)
        if said.text:
            found.setdefault(image_folder.caption(image, extension), set()).add(said)
        else:
            left.append((image, said.fault))
    texts = {}
    for file, several in found.items():
        if len({said.text for said in several}) > 1:
            left.append((file, "two images of this name hold different captions"))
        else:
            said = min(several)
            texts[file] = (said.text, said.source)
    return caption_files.of_texts(texts, overwrite=overwrite), tuple(left)
