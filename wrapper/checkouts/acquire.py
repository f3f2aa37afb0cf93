"""Download or copy sd-scripts' sources: from git, a folder or a zip; only the needed files.

Every function fills a folder of its own. Failures become a UserError; the caller deletes
the half-filled folder.
"""

from __future__ import annotations

import base64
import errno
import functools
import os
import re
import shutil
import urllib.parse
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from kohya_presets import secrets
from kohya_presets.errors import UserError
from wrapper.system import proc

REMOTE = "https://github.com/kohya-ss/sd-scripts"
# All Python at the root and in the folders it imports from. The rest of the repository is binaries
# for other platforms, tokenizers of other models, pictures and tests.
NEEDED = (
    "/*.py",
    "/library/**",
    "/networks/**",
    "/tools/*.py",
    "/pytorch_lightning/**",
    "/requirements*.txt",
    "/LICENSE*",
    "/README.md",
)
_FOLDERS = ("library", "networks", "tools", "pytorch_lightning")
_TOP = re.compile(r"(.*\.py|requirements.*\.txt|LICENSE.*|README\.md)")
# A repository on this machine serves partial clones only with this setting.
_SERVE = "git -c uploadpack.allowFilter=true upload-pack"

# What git says beside the reason: to everyone who cannot fetch, and about other things.
_ADDED = re.compile(
    r"Please make sure you have the correct access|and the repository exists|(warning|hint): "
    r"|Cloning into|From |\*+ "
)
_GENERAL = "fatal: Could not read from remote repository"


class Unreachable(UserError):
    """The remote did not answer; the only failure that a rehearsal may work around."""


def from_git(remote: str, commit: str, into: Path, *, needed: Sequence[str] | None = None) -> None:
    """Fill `into` with the needed files of `commit` (40 digits), from the repository `remote`.

    Raises:
        Unreachable: the remote does not answer.
        UserError: it has no such commit, git is missing, the disk is full.
    """
    into.mkdir(parents=True)
    remote, env = access(remote)
    ask = functools.partial(_git, remote, into, env=env)
    ask("init", "--quiet")
    ask("remote", "add", "origin", remote)
    serve = _serving(remote, into)
    ask("sparse-checkout", "set", "--no-cone", *(needed or NEEDED))
    upload = (f"--upload-pack={serve}",) if serve else ()
    fetch = ("fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags", *upload)
    ask(*fetch, "origin", commit)
    # Line ends as upstream has them: patches and fingerprints are about bytes.
    lazily = ("-c", f"remote.origin.uploadpack={serve}") if serve else ()
    ask(*lazily, "-c", "core.autocrlf=false", "checkout", "--quiet", "FETCH_HEAD")


def from_folder(folder: Path, into: Path) -> None:
    """Fill `into` with copies of the needed files of `folder`, as they stand there."""
    with _disk(into):
        for file in _needed(folder):
            target = into / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)


def from_zip(archive: Path, into: Path) -> None:
    """Fill `into` with the needed files of a zip, whose one top folder, if any, is left out.

    Raises:
        UserError: it is not a zip, is damaged, or has a path outside `into`.
    """
    try:
        with zipfile.ZipFile(archive) as opened, _disk(into):
            top = _top_folder(opened.namelist())
            for entry in opened.infolist():
                name = PurePosixPath(entry.filename.removeprefix(top))
                if not entry.is_dir() and _wanted(name):
                    target = into.joinpath(*name.parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(opened.read(entry))
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        hint = "Download it again: open the release's tag on GitHub, then Code → Download ZIP."
        raise UserError(f"cannot read {archive} as a zip of sd-scripts: {error}", hint=hint) from (
            None
        )


def head(folder: Path) -> str | None:
    """Return the commit that `folder`'s work tree is an untouched copy of, else None."""
    if not (folder / ".git").exists():
        return None
    status = proc.run(["git", "-C", folder, "status", "--porcelain", "-uno"], check=False)
    commit = proc.run(["git", "-C", folder, "rev-parse", "HEAD"], check=False)
    clean = not status.returncode and not status.stdout.strip() and not commit.returncode
    return commit.stdout.strip() if clean else None


def is_repository(folder: Path) -> bool:
    """Return whether git can fetch from `folder`."""
    return (folder / ".git").exists() or (
        (folder / "HEAD").is_file() and (folder / "objects").is_dir()
    )


def access(remote: str, environ: Mapping[str, str] = os.environ) -> tuple[str, dict[str, str]]:
    """Return a remote without the token in its URL, and variables that give it to git alone.

    As an argument it would be in the list of processes, as a remote in the clone's settings.

    Raises:
        UserError: there is a token elsewhere in the URL.
    """
    clean, credentials = secrets.without_credentials(remote)
    if secrets.holds(clean):
        raise UserError(
            f"expected a URL without a token after the ?, found {secrets.masked(clean)}",
            hint="Put the token in front of the host: https://TOKEN@HOST/OWNER/REPOSITORY.",
        )
    if credentials is None:
        return clean, {}
    pair = urllib.parse.unquote(credentials)
    basic = base64.b64encode((pair if ":" in pair else f"{pair}:").encode("utf-8")).decode("ascii")
    parts = urllib.parse.urlsplit(clean)
    number = int(environ.get("GIT_CONFIG_COUNT") or 0)  # after those that the user has set
    return clean, {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
        f"GIT_CONFIG_VALUE_{number}": f"Authorization: Basic {basic}",
    }


def _git(remote: str, folder: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    # Nobody answers questions here; a user's own program for passwords may.
    asked = os.environ.get("GIT_ASKPASS", "true")
    quiet = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_ASKPASS": asked}
    done = proc.run(["git", "-C", folder, *words], env={**quiet, **(env or {})}, check=False)
    if done.returncode:
        raise _failure(remote, words, done)
    return done.stdout


def _failure(remote: str, words: tuple[str, ...], done: proc.Result) -> UserError:
    said = done.stderr
    if done.returncode == 127:
        return UserError(
            "git was not found",
            hint="Install git, or use a zip: `kohya-presets checkout add TAG --from FILE.zip`.",
        )
    if "No space left" in said:
        return _full_disk()
    if re.search(r"not our ref|couldn't find remote ref|unadvertised object|bad object", said):
        return UserError(
            f"{remote} does not have the commit {words[-1]}",
            hint="Check the commit, or leave out --from to use the official repository.",
        )
    if "fetch" in words or "checkout" in words:  # the two that talk to the remote
        return Unreachable(
            f"{remote} could not be reached: {_reason(said)}",
            hint="Check the connection and run the same command again, or give another source "
            "with --from URL, FOLDER or ZIP (or with SD_SCRIPTS_REMOTE).",
        )
    return proc.ProcessError(done)


def _reason(said: str) -> str:
    """Return why git failed, in its own words: the cause, without what it adds for everyone."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if not _ADDED.match(line)]
    own = [line for line in told if not line.startswith(_GENERAL)]
    return "; ".join((own or told or lines or ["it gave no reason"])[:3])


def _serving(remote: str, folder: Path) -> str | None:
    real = _git(remote, folder, "ls-remote", "--get-url", "origin").strip()
    here = real.startswith("file://") or Path(real).exists()
    return _SERVE if here else None


def _needed(folder: Path) -> Iterator[Path]:
    yield from (f for f in sorted(folder.iterdir()) if f.is_file() and _TOP.fullmatch(f.name))
    for name in _FOLDERS:
        for file in sorted((folder / name).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def _wanted(name: PurePosixPath) -> bool:
    if ".." in name.parts or name.is_absolute() or ":" in str(name):
        raise UserError(
            f"the zip has a path outside its folder: {name}", hint="Download the zip again."
        )
    if len(name.parts) == 1:
        return _TOP.fullmatch(name.name) is not None
    return name.parts[0] in _FOLDERS


def _top_folder(names: list[str]) -> str:
    tops = {name.split("/", 1)[0] for name in names}
    only = tops.pop() if len(tops) == 1 else ""
    return f"{only}/" if only and all("/" in name for name in names) else ""


@contextmanager
def _disk(into: Path) -> Iterator[None]:
    try:
        into.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _full_disk() from None
        raise UserError(f"{error.filename or into}: {error.strerror}") from None


def _full_disk() -> UserError:
    return UserError(
        "the disk is full",
        hint="Free some space, or set KOHYA_PRESETS_HOME to a folder on another disk.",
    )
