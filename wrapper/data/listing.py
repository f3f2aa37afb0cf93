"""What a run's images and captions were, so that a later day can tell what has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kohya_presets.dataset import caption
from kohya_presets.dataset.subsets import Subset

FILE = "data.json"  # in a run
Listing = Mapping[str, str]  # name -> size of an image, hash of a caption's text


def of(subsets: Sequence[Subset]) -> dict[str, str]:
    """Return the images of some subsets and their captions; an image by its size, to read none.

    In one folder they are called by their names, in several by their paths.
    """
    found: dict[str, str] = {}
    several = len(subsets) > 1
    for subset in subsets:
        for image in subset.images:
            found[_name(image, several)] = f"{image.stat().st_size} bytes"
            if (captioned := caption.find(image, subset.caption_extension)) and not subset.metadata:
                found[_name(captioned, several)] = _digest(captioned)
        if subset.metadata:
            found[str(subset.metadata)] = _digest(subset.metadata)
    return found


def _name(file: Path, several: bool) -> str:
    return str(file) if several else file.name


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


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
