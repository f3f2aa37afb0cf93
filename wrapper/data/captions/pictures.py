"""Read the caption that an image holds: what a person wrote first, then a generator's prompt."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image, ImageFile, IptcImagePlugin

from kohya_presets.dataset.captioning import embedded, generators, said
from kohya_presets.dataset.captioning.said import Said

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_EXIF_IFD, _DESCRIPTION, _USER_COMMENT = 0x8769, 0x010E, 0x9286
_TAGS = (_DESCRIPTION, 0x010F, 0x0110)  # in which ComfyUI keeps a workflow of a WebP
_XMP = ("xmp", "XML:com.adobe.xmp")


def caption(image: Path) -> Said:
    """Return the caption in an image's metadata, or the fault why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged metadata; what cannot be read is told below
        try:
            with Image.open(image, formats=FORMATS) as opened:
                found = said.chosen(_found(opened))
                if not found.text and opened.format == "PNG":
                    opened.load()  # text may stand behind the pixels
                    found = said.chosen(_found(opened))
                return found
        except Exception as error:  # Pillow raises anything at a damaged file, and it is but one
            return Said("", "", f"its metadata cannot be read ({type(error).__name__})")


def _found(image: Image.Image) -> Iterator[Said]:
    """Yield what may be a caption, the likeliest first."""
    chunks = {str(key): text for key, text in image.info.items() if isinstance(text, str)}
    for name in _XMP:
        if isinstance(data := image.info.get(name), bytes | str):
            yield embedded.of_xmp(data)
    yield from _iptc(image)
    exif = image.getexif()
    yield from _exif(exif)
    yield from generators.of_chunks(chunks)


def _iptc(image: Image.Image) -> Iterator[Said]:
    if not isinstance(image, ImageFile.ImageFile):
        return
    found: Mapping[tuple[int, int], bytes | list[bytes]] | None = None
    with contextlib.suppress(Exception):  # as above: the other places may be whole
        found = IptcImagePlugin.getiptcinfo(image)
    if found:
        yield embedded.of_iptc(found)


def _exif(exif: Image.Exif) -> Iterator[Said]:
    for tag in _TAGS:
        text = exif.get(tag)
        if isinstance(text, str) and (prompt := generators.of_tag(text)):
            yield prompt
        elif tag == _DESCRIPTION and isinstance(text, str):
            yield embedded.of_description(text)
    comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if isinstance(comment, bytes):
        order = ">" if getattr(exif, "endian", "<") == ">" else "<"
        yield generators.of_comment(embedded.of_user_comment(comment, order))
