"""The door to short processes: run one, capture its output, report failures clearly."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError

_GIT_LEAKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


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
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        detail = "".join(f"\n  | {line}" for line in said[-12:])
        command = " ".join(result.argv)
        super().__init__(
            f"`{command}` failed with exit code {result.returncode}{detail}", hint=hint
        )
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
            env={**_environ(), **(env or {})},
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


def _environ() -> dict[str, str]:
    # Inside a git hook these would make every git we start look at the hook's repository.
    return {name: value for name, value in os.environ.items() if name not in _GIT_LEAKS}
