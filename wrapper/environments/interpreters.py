"""Find a Python that a release's pinned packages install into."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.sdscripts import releases
from wrapper.system import proc

# Which minor versions have wheels of every pinned package, best first. Upstream names 3.10 for all
# releases; 3.11 is where all of them were rehearsed.
SUITED = {
    "v0.7.0": (11, 10),
    "v0.8.0": (11, 10),
    "v0.9.0": (11, 10),
    "v0.10.0": (11, 10, 12, 13),
}


@dataclass(frozen=True)
class Interpreter:
    """An executable and its version, e.g. (3, 11)."""

    executable: Path
    version: tuple[int, int]


def suited(release: str) -> tuple[int, ...]:
    """Return the minor versions of Python 3 that `release` installs into, best first."""
    older = [tag for tag in SUITED if releases.order(tag) <= releases.order(release)]
    return SUITED[older[-1]]


def choose(release: str) -> Interpreter:
    """Return the best Python on this machine for `release`.

    Raises:
        UserError: none of them suits; the hint says which to install.
    """
    wanted = suited(release)
    found: dict[int, Interpreter] = {}
    for interpreter in _on_this_machine(wanted):
        found.setdefault(interpreter.version[1], interpreter)
    for minor in wanted:
        if minor in found:
            return found[minor]
    names = " or ".join(f"3.{minor}" for minor in wanted)
    raise UserError(
        f"expected Python {names} for sd-scripts {release}, found only "
        f"{sys.version_info.major}.{sys.version_info.minor}",
        hint=f"Install Python 3.{wanted[0]}, or give an environment with --python EXE.",
    )


def ask(executable: Path | str) -> Interpreter | None:
    """Return what `executable` is, or None when it is not a Python 3."""
    code = "import sys; print(sys.version_info[0], sys.version_info[1]); print(sys.executable)"
    # In UTF-8, whatever the system's encoding: the path may have any letters.
    env = {"PYTHONUTF8": "1"}
    said = proc.run([executable, "-c", code], env=env, check=False, timeout_seconds=60)
    numbers, _, path = said.stdout.strip().partition("\n")
    if said.returncode or len(numbers.split()) != 2:
        return None
    major, minor = map(int, numbers.split())
    return Interpreter(Path(path.strip()), (major, minor)) if major == 3 else None


def _on_this_machine(wanted: tuple[int, ...]) -> Iterator[Interpreter]:
    yield Interpreter(Path(sys.executable), (sys.version_info.major, sys.version_info.minor))
    for minor in wanted:
        for candidate in _candidates(minor):
            if (found := ask(candidate)) and found.version == (3, minor):
                yield found


def _candidates(minor: int) -> Iterator[Path | str]:
    if on_path := shutil.which(f"python3.{minor}"):
        yield on_path
    # pyenv's versions are installed but not on PATH until chosen.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(pyenv.glob(f"3.{minor}.*/bin/python"), reverse=True)
    if (launcher := shutil.which("py")) and os.name == "nt":
        found = proc.run(
            [launcher, f"-3.{minor}", "-c", "import sys; print(sys.executable)"], check=False
        )
        if not found.returncode:
            yield found.stdout.strip()
