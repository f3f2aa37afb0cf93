"""Everything that `dataset check` asks the disk for, and what could not be had."""

from __future__ import annotations

from collections.abc import Sequence

from kohya_presets.dataset.collection import Collection
from kohya_presets.dataset.subsets import Subset
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.errors import UserError
from wrapper.data import gather, vocabulary
from wrapper.data.cache import Cache


def collection(
    subsets: Sequence[Subset],
    *,
    trigger: str | None = None,
    with_pixels: bool = True,
    on_progress: gather.Progress | None = None,
) -> tuple[Collection, list[str]]:
    """Return what is known of the subsets, and in words what could not be checked."""
    notes: list[str] = []
    tokenizer: Tokenizer | None = None
    try:
        tokenizer = vocabulary.tokenizer()
    except UserError as error:
        notes.append(f"tokens of captions: {error}")
    with Cache() as cache:
        found = gather.collect(
            subsets,
            tokenizer=tokenizer,
            trigger=trigger,
            cache=cache,
            with_pixels=with_pixels,
            on_progress=on_progress,
        )
    if not with_pixels:
        notes.append("pixels: duplicates, sharpness and truncated images (--headers-only)")
    if unread := [item.file.name for item in found.items if item.header.unsupported]:
        notes.append(f"images that cannot be read here: {', '.join(unread[:3])}")
    return found, notes
