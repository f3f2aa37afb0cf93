"""Everything that `dataset check` asks the disk for, and what could not be had."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from kohya_presets.dataset.collection import Collection
from kohya_presets.dataset.subsets import Subset
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.errors import UserError
from wrapper.data import gather
from wrapper.data.reading import vocabulary
from wrapper.data.reading.cache import Cache

FEW = 6  # images that are read again sooner than they are looked up


def collection(
    subsets: Sequence[Subset],
    *,
    trigger: str | None = None,
    with_pixels: bool = True,
    download: bool = True,
    on_progress: gather.Progress | None = None,
) -> tuple[Collection, list[str]]:
    """Return what is known of the subsets, and in words what could not be checked.

    CLIP's vocabulary is downloaded where it is missing, unless `download` is false.
    """
    notes: list[str] = []
    tokenizer: Tokenizer | None = None
    try:
        tokenizer = vocabulary.tokenizer(download=download)
    except UserError as error:
        notes.append(f"tokens of captions: {error}")
    count = sum(len(gather.listed(subset)) for subset in subsets)
    with Cache() if count > FEW else contextlib.nullcontext() as cache:
        found = gather.collect(
            subsets, tokenizer=tokenizer, trigger=trigger, cache=cache, on_progress=on_progress
        )
        if with_pixels:
            found = gather.with_pixels(found, cache, on_progress)
    if not with_pixels:
        notes.append("pixels: duplicates, sharpness and truncated images (--headers-only)")
    if unread := [item.file.name for item in found.items if item.header.unsupported]:
        notes.append(f"images that cannot be read here: {', '.join(unread[:3])}")
    return found, notes
