"""The pictures of a card: a few of a run's, as JPEG without anything hidden in them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from wrapper.cards.from_run import Picture
from wrapper.data.page import thumbnails
from wrapper.data.page.thumbnails import Wanted
from wrapper.data.reading import headers

MOST = 4  # on a card
SIDE, QUALITY = 1024, 90  # longest side in pixels; of JPEG
THUMBNAIL_SIDE, THUMBNAIL_BYTES = 256, 24_000  # in a LoRA's metadata: read whenever it is loaded


def shown(found: Sequence[Picture]) -> list[tuple[Picture, bytes]]:
    """Return the first few different pictures that can be read, each as JPEG.

    Written anew, because an image may carry the paths of somebody's computer.
    """
    made: list[tuple[Picture, bytes]] = []
    prompts: set[str] = set()
    for picture in found:
        if len(made) == MOST:
            break
        if picture.prompt not in prompts and (content := _jpeg(picture)):
            made.append((picture, content))
            prompts.add(picture.prompt)
    return made


def thumbnail(file: Path) -> str:
    """Return a picture as the data URL of a small WebP; "" if it cannot be read."""
    try:
        with Image.open(file) as image:
            shape = image.size
    except headers.FAULTS:
        return ""
    side = THUMBNAIL_SIDE
    made = thumbnails.one(Wanted(0, file, None, shape, side * side, THUMBNAIL_BYTES))
    return f"data:image/webp;base64,{base64.b64encode(made.webp).decode()}" if made.webp else ""


def _jpeg(picture: Picture) -> bytes:
    try:
        with Image.open(picture.file) as image:
            rgb = image.convert("RGB")
    except headers.FAULTS:
        return b""
    rgb.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    rgb.save(held, "JPEG", quality=QUALITY)
    return held.getvalue()
