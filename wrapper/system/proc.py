"""The door to short processes: run one, capture its output, report failures clearly."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kohya_presets import secrets
from kohya_presets.errors import UserError
from wrapper.system.paths import NOTIFY_VARIABLE

# Inside a git hook, or beside another tool's git, GIT_* points every git we start at that tool's
# repository, index or objects. So all of it goes, names of tomorrow's git too, except what a user
# sets to reach a remote: ssh, passwords, proxies, certificates, and the settings of their machine.
_GIT_KEPT = re.compile(
    r"GIT_(SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|TERMINAL_PROMPT|ALLOW_PROTOCOL|PROXY_COMMAND"
    r"|(SSL|PROXY_SSL|HTTP)_\w+|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|EXEC_PATH)"
)


@dataclass(frozen=True)
class Result:
    """What a finished process left behind; `stdout` and `stderr` are decoded as UTF-8."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class ProcessError(UserError):
    """A short process could not start, ran too long, or failed."""

    def __init__(self, result: Result, *, hint: str | None = None) -> None:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
        detail = "".join(f"\n  | {line}" for line in lines[-12:])
        command = " ".join(result.argv)
        said = secrets.masked(f"`{command}` failed with exit code {result.returncode}{detail}")
        super().__init__(said, hint=hint)
        self.result = result


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
    check: bool = True,
) -> Result:
    """Return what `argv` printed. `env` comes on top of this process's own environment.

    What cannot be started is an ordinary failure with exit code 127, a time-out one with 124.

    Raises:
        ProcessError: the exit code is not 0 and `check` is set.
    """
    words = tuple(os.fspath(word) for word in argv)
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**environ(), **(env or {})},
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            check=False,
        )
        result = Result(words, done.returncode, done.stdout, done.stderr)
    except OSError as error:  # not there, not allowed, or no program of this system
        result = Result(words, 127, "", str(error))
    except subprocess.TimeoutExpired:
        result = Result(words, 124, "", f"no answer within {timeout_seconds:g} seconds")
    if check and result.returncode:
        raise ProcessError(result)
    return result


def environ() -> dict[str, str]:
    """Return this process's environment for a child: without another git's variables, and ours."""
    return {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("GIT_") or _GIT_KEPT.fullmatch(name)) and name != NOTIFY_VARIABLE
    }


def command_line(argv: Sequence[str | Path], *, windows: bool = os.name == "nt") -> str:
    """Return `argv` as a person can paste it into the shell of this system.

    On Windows that is cmd: it knows double quotes only, and keeps & | < > ^ inside of them.
    """
    words = [os.fspath(word) for word in argv]
    return " ".join(map(_for_windows, words)) if windows else shlex.join(words)


def our_line(*words: str | Path) -> str:
    """Return a command of ours as a person can paste it: its name and what comes after it."""
    return command_line(("kohya-presets", *words))


def _for_windows(word: str) -> str:
    if re.fullmatch(r"[\w.:/\\=+@~-]+", word):
        return word
    # A program's own reading of its line: backslashes before a quote count twice.
    word = re.sub(r'(\\*)"', r'\1\1\\"', word)
    word = re.sub(r"(\\+)$", r"\1\1", word)
    return f'"{word}"'
