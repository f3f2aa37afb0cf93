"""A LoRA with the card's facts in its metadata: a copy, or the file itself where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kohya_presets.cards import metadata
from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from wrapper.cards import pictures, rewriting
from wrapper.cards.about import About
from wrapper.cards.writing import Card
from wrapper.system import whole

SUFFIX = ".safetensors"


def place(found: About, folder: Path, out: Path | None, *, in_place: bool, force: bool) -> Path:
    """Return where the LoRA with its new metadata goes: by default into the card's folder.

    Raises:
        UserError: that place is taken, or the file must not change.
    """
    if in_place:
        if found.run:
            raise UserError(
                f"{found.file.name} belongs to the run {found.run.folder}, whose record has the "
                "hash of the file: it must not change",
                hint="Leave --in-place out: the metadata go into a copy of the LoRA.",
            )
        return found.file
    target = (out.expanduser() if out else folder / found.file.name).resolve()
    if target.suffix != SUFFIX:
        raise UserError(f"--lora-out must end in {SUFFIX}, found {target.name}")
    if target == found.file:
        raise UserError(
            f"{target} is the LoRA itself",
            hint="Choose another name, or use --in-place to change the file.",
        )
    if target.exists() and not force and (out or not _is_copy(target, found)):
        whole.require_free([target])
    return target


def chosen(picture: Path | None) -> str:
    """Return a picture that the user chose as a thumbnail, a data URL; "" for None.

    Raises:
        UserError: the picture cannot be read.
    """
    small = pictures.thumbnail(picture.expanduser()) if picture else ""
    if picture and not small:
        raise UserError(f"cannot read the picture {picture}", hint="Use a PNG, JPEG or WebP file.")
    return small


def write(found: About, card: Card, target: Path, thumbnail: str) -> Mapping[str, str]:
    """Write the LoRA with new metadata to `target`, and return the keys that were set.

    Without a `thumbnail`, it is the first picture of the card, if it has one.

    Raises:
        UserError: the file cannot be written.
    """
    if not thumbnail and card.first:
        thumbnail = pictures.thumbnail(card.first)
    changes = metadata.of(card.facts, card.words, found.metadata, thumbnail=thumbnail)
    rewriting.rewrite(found.file, target, changes)
    return changes


def newest(found: About, card: Card) -> Path:
    """Return the copy of the LoRA in the card's folder if there is one, else the LoRA itself."""
    copy = card.folder / found.file.name
    return copy if copy.is_file() and _is_copy(copy, found) else found.file


def _is_copy(file: Path, found: About) -> bool:
    """Return whether a file is this LoRA, but for its metadata."""
    try:
        return weights.data_sha256(weights.read(file)) == found.facts.weights_sha256
    except (OSError, UserError):
        return False
