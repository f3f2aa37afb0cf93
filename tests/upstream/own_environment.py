"""Environments of other programs that read what we make, each made once for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from tests import missing
from wrapper.environments import environment, interpreters
from wrapper.system import proc


def python(at: Path, packages: Sequence[str]) -> Path:
    """Return the Python of an environment in `at`, made where it is not, or skip the test."""
    at.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(at.with_suffix(".lock")):
        made = at / "packages.txt"  # written last
        if not made.is_file() or made.read_text("utf-8").split() != list(packages):
            shutil.rmtree(at, ignore_errors=True)
            with missing.skipped_without(f"the environment {at.name}"):
                proc.run([interpreters.choose("v0.8.0").executable, "-m", "venv", at])
                install = (environment.python_in(at), "-m", "pip", "install", "--quiet")
                proc.run([*install, *packages])
            made.write_text("\n".join(packages), "utf-8")
    return environment.python_in(at)
