"""What a run's images and captions were, so that a later day can tell what has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from kohya_presets.files import image_folder

FILE = "data.json"  # in a run
Listing = Mapping[str, str]  # name -> size of an image, hash of a caption's text


def of(folder: Path, caption_extension: str) -> dict[str, str]:
    """Return the images of a folder and their captions; an image by its size, to read none."""
    found: dict[str, str] = {}
    for image in image_folder.images(folder) if folder.is_dir() else ():
        found[image.name] = f"{image.stat().st_size} bytes"
        caption = image_folder.caption(image, caption_extension)
        if caption.is_file():
            found[caption.name] = hashlib.sha256(caption.read_bytes()).hexdigest()[:16]
    return found


def text(listing: Listing) -> str:
    """Return a listing as a file."""
    return json.dumps(listing, indent=0, ensure_ascii=False) + "\n"


def read(file: Path) -> Listing | None:
    """Return the listing in a file, or None if there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def changes(then: Listing, now: Listing) -> Iterator[str]:
    """Yield each file that is another, as a line of a diff."""
    for name in sorted({*then, *now}):
        if name not in now:
            yield f"- {name}"
        elif name not in then:
            yield f"+ {name}"
        elif then[name] != now[name]:
            yield f"~ {name}: {then[name]} -> {now[name]}"
