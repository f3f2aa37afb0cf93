"""All that `card` does: the page, the metadata and the upload, as far as they are asked for."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wrapper.cards import about, metadata_file, upload, writing
from wrapper.cards.about import About
from wrapper.cards.upload import Upload
from wrapper.cards.writing import Card


@dataclass(frozen=True)
class Wishes:
    """What is asked for beside the page; `repository` is OWNER/NAME on Hugging Face, or ""."""

    out: Path | None = None
    after: Path | None = None
    metadata: bool = False
    lora_out: Path | None = None
    in_place: bool = False
    thumbnail: Path | None = None
    repository: str = ""
    yes_upload: bool = False
    public: bool = False
    force: bool = False


@dataclass(frozen=True)
class Done:
    """What came of it; `lora` is the file with new metadata, `address` that of the upload."""

    found: About
    card: Card
    lora: Path | None = None
    changes: Mapping[str, str] | None = None
    planned: Upload | None = None
    address: str = ""


def carry_out(
    subject: Path, wishes: Wishes, *, today: datetime.date, environment: Mapping[str, str]
) -> Done:
    """Return what was made. What can be refused is refused before a file is written.

    Raises:
        UserError: the LoRA, `card.toml`, a place to write to or the upload is not as it must be.
    """
    secret = upload.token(environment) if wishes.yes_upload else ""
    if wishes.repository:
        upload.require_repository(wishes.repository)
    found = about.of(subject)
    folder = (wishes.out or found.folder).expanduser().resolve()
    lora = None
    if wishes.metadata:
        lora = metadata_file.place(
            found, folder, wishes.lora_out, in_place=wishes.in_place, force=wishes.force
        )
    small = metadata_file.chosen(wishes.thumbnail)
    card = writing.write(
        found,
        folder,
        after=wishes.after,
        repository=wishes.repository,
        today=today,
        force=wishes.force,
    )
    changes = metadata_file.write(found, card, lora, small) if lora else None
    if not wishes.repository:
        return Done(found, card, lora, changes)
    uploaded = lora or metadata_file.newest(found, card)
    planned = upload.plan(card, uploaded, wishes.repository, public=wishes.public)
    address = ""
    if wishes.yes_upload:
        upload.require_ready(card)
        address = upload.carry_out(planned, secret, force=wishes.force)
    return Done(found, card, lora, changes, planned, address)
