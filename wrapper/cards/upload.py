"""Put a card and its LoRA on Hugging Face: planned first, and sent only where that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets import secrets
from kohya_presets.errors import UserError
from kohya_presets.problems import listed, plural
from wrapper.cards.writing import README, Card

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # variables of the environment
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Upload:
    """What goes to which repository; `files` by their names there."""

    repository: str
    files: Mapping[str, Path]
    public: bool  # if the repository is new
    message: str


def require_repository(name: str) -> str:
    """Return a repository's name, OWNER/NAME.

    Raises:
        UserError: it is none.
    """
    if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name or name.endswith(".git"):
        raise UserError(
            f"expected OWNER/NAME of a repository on Hugging Face, found {name!r}",
            hint="For example: --upload hf my-name/korra",
        )
    return name


def plan(card: Card, lora: Path, repository: str, *, public: bool = False) -> Upload:
    """Return what would be uploaded: README.md, its pictures, and the LoRA."""
    shown = {at.relative_to(card.folder).as_posix(): at for at in card.pictures}
    files = {README: card.folder / README, **shown, card.facts.file: lora}
    version = card.words.versions[-1].version if card.words.versions else ""
    message = f"{card.words.title or card.facts.name} {version}".strip()
    return Upload(repository, files, public, message)


def lines(planned: Upload) -> Iterator[str]:
    """Yield the plan as a person reads it."""
    kind = "public" if planned.public else "private"
    yield f"would upload to https://huggingface.co/{planned.repository}"
    yield f"(a new repository is made {kind}):"
    for name, file in planned.files.items():
        yield f"  {name}  {file.stat().st_size / 1e3:,.0f} kB  from {file}"


def token(environment: Mapping[str, str]) -> str:
    """Return the token in the environment.

    Raises:
        UserError: there is none.
    """
    found = next((environment[name].strip() for name in TOKENS if environment.get(name)), "")
    if not found:
        raise UserError(
            f"no token for Hugging Face: {TOKENS[0]} is not set",
            hint="Create a token with the right to write on huggingface.co/settings/tokens, and "
            f"put it into the environment as {TOKENS[0]}.",
        )
    return found


def require_ready(card: Card) -> None:
    """Refuse to show others a card that is not finished.

    Raises:
        UserError: it has gaps, or is a rehearsal's.
    """
    if card.facts.rehearsal:
        raise UserError(
            "this LoRA comes from a rehearsal and is of no use to others",
            hint="Train for real with `kohya-presets train`.",
        )
    if card.gaps:
        count = plural(len(card.gaps), "gap")
        keys = listed([gap.key for gap in card.gaps])
        raise UserError(
            f"the card still has {count}: {keys}",
            hint=f'Fill in {card.folder / "card.toml"}; write "-" to leave something out.',
        )


def carry_out(planned: Upload, secret: str, api: Any = None, *, force: bool = False) -> str:
    """Upload everything as one commit, and return its address; `api` is an `HfApi`.

    Raises:
        UserError: the repository has such files already and `force` is not set, or Hugging Face
            refuses. The token is never in its text.
    """
    import httpx
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = api or huggingface_hub.HfApi(token=secret)
    try:
        api.create_repo(planned.repository, private=not planned.public, exist_ok=True)
        there = set(api.list_repo_files(planned.repository)) & set(planned.files)
        if there and not force:
            raise UserError(
                f"{planned.repository} already has {listed(sorted(there))}",
                hint="Add --force to replace them. Hugging Face keeps the old ones in its history.",
            )
        operations = [
            huggingface_hub.CommitOperationAdd(name, str(file))
            for name, file in planned.files.items()
        ]
        made = api.create_commit(planned.repository, operations, commit_message=planned.message)
        return str(made.commit_url)
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        said = secrets.masked(lines[0].replace(secret, secrets.MASK))[:300]
        raise UserError(
            f"could not upload to {planned.repository}: {said}",
            hint="Check the connection, the name of the repository and that the token may write.",
        ) from None
