"""Find the base model: a file on this machine, or one of a Hugging Face repository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError

SUFFIX = ".safetensors"
# Words in names of files that are not base models.
_NOT_A_BASE = ("lora", "refiner", "vae", "offset", "inpaint", "controlnet", "fp16.safetensors")

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Base:
    """A base model on this disk, and what the user called it."""

    file: Path
    reference: str
    revision: str | None = None  # commit of the Hugging Face repository


def find(reference: str, *, on_step: OnStep, revision: str | None = None) -> Base:
    """Return the base model `reference` names: a path, `owner/repo` or `owner/repo/file`.

    A local file wins. `revision` is a commit of the repository, None for its newest. Downloads go
    to Hugging Face's own cache; an interrupted one continues where it stopped.

    Raises:
        UserError: it does not exist, cannot be downloaded, or the disk is full.
    """
    file = Path(reference).expanduser()
    if file.is_file():
        return Base(file.absolute(), reference)
    if is_path(reference):
        raise UserError(
            f"the base model {reference} does not exist",
            hint="Check the path. For Hugging Face, write OWNER/REPO or OWNER/REPO/FILE.",
        )
    parts = _parts(reference)
    repository, name = "/".join(parts[:2]), "/".join(parts[2:])
    return _from_hub(reference, repository, name or None, revision, on_step)


def choose(repository: str, files: list[str]) -> str:
    """Return the one file of a repository's list that is its base model in a single file.

    Raises:
        UserError: there is none, or several; the hint lists them.
    """
    single = [f for f in files if f.endswith(SUFFIX) and "/" not in f]
    likely = [f for f in single if not any(word in f.lower() for word in _NOT_A_BASE)]
    if len(likely) == 1:
        return likely[0]
    if not single:
        raise UserError(
            f"{repository} has no single-file checkpoint (*{SUFFIX} in its top folder)",
            hint="Choose a repository that has one, or give a file on this machine.",
        )
    # A name without its variants is the plain one: sd_xl_base_1.0 beside sd_xl_base_1.0_0.9vae.
    shortest = min(likely or single, key=len)
    if likely and all(f.startswith(shortest.removesuffix(SUFFIX)) for f in likely):
        return shortest
    listed = ", ".join(f"{repository}/{f}" for f in likely or single)
    raise UserError(f"{repository} has several checkpoints", hint=f"Choose one of them: {listed}")


def is_path(reference: str) -> bool:
    """Return whether `reference` is a file's path, existing or not, and not `owner/repo[/file]`."""
    parts = _parts(reference)
    rooted = reference.startswith(("/", "\\", ".", "~")) or ":" in reference
    single = len(parts) == 1 or (len(parts) == 2 and reference.endswith(SUFFIX))
    return rooted or single or Path(reference).is_file()


def _parts(reference: str) -> list[str]:
    return reference.replace("\\", "/").split("/")


def _from_hub(
    reference: str, repository: str, name: str | None, revision: str | None, on_step: OnStep
) -> Base:
    # Slow to import, and a local file needs none of it.
    import httpx
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        if name is None:
            files = huggingface_hub.HfApi().list_repo_files(repository, revision=revision)
            name = choose(repository, files)
        on_step(f"downloading {repository}/{name} from Hugging Face, unless it is in the cache")
        file = Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
    except (
        *(HfHubHTTPError, HFValidationError, LocalEntryNotFoundError),
        *(OSError, httpx.HTTPError),  # what a library below does not catch of a lost connection
    ) as error:
        raise _failure(reference, error) from None
    # .../snapshots/COMMIT/FILE: the cache's own form.
    commit = file.parents[len(Path(name).parts) - 1].name
    return Base(file, reference, commit)


def _failure(reference: str, error: Any) -> UserError:
    from huggingface_hub import errors  # imported already, by who failed

    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"{reference} is gated: you need access from its owner",
            hint="Request access on its page first. Then run `hf auth login` or set HF_TOKEN.",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(
            f"Hugging Face has no repository {reference}, or it is private",
            hint="Check the name. If it is private, run `hf auth login` or set HF_TOKEN.",
        )
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(
        error, errors.LocalEntryNotFoundError
    ):
        return UserError(
            f"Hugging Face has no such file: {reference}", hint="Check the name of the file."
        )
    if isinstance(error, errors.HFValidationError):
        return UserError(f"expected a file or owner/repo[/file], found {reference!r}")
    if isinstance(error, OSError) and error.errno == 28:
        return UserError(
            "the disk is full", hint="Free some space, or set HF_HOME to a folder on another disk."
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return UserError(
        f"could not download {reference}: {reason}",
        hint="Check the connection, then run the same command again: the download continues.",
    )
