"""The trainer environment: the Python that runs sd-scripts, with the packages its release pins.

Created beside the checkout, from the release's own requirements and our constraints for it. It is
never the Python that runs this program: the two need different versions of nearly every package.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.sdscripts import releases
from kohya_presets.toml import text as toml_text
from wrapper.checkouts.checkout import Checkout
from wrapper.environments import gpu, interpreters, kp_probe
from wrapper.environments.gpu import TorchBuild
from wrapper.system import launch, locks, paths, proc
from wrapper.system.launch import Launch

CONSTRAINTS = Path(__file__).parent / "constraints"
PROBE = Path(__file__).parent / "kp_probe.py"
MARK = "environment.toml"  # written last: a folder without it is not an environment
EXTRAS = ("lion-pytorch", "bitsandbytes")  # optimizers of our presets that old releases leave out
NEEDED = ("torch", "accelerate", "transformers", "diffusers", "safetensors", "toml", "voluptuous")

TOLD = ("torch", "torchvision", "accelerate", "transformers", "diffusers", "bitsandbytes")

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Environment:
    """A Python with sd-scripts' packages in it."""

    python: Path
    made: bool  # created by this program; else the user named it


@dataclass(frozen=True)
class Probe:
    """What an environment reports about itself."""

    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    cuda: str | None = None  # that torch was built for
    devices: tuple[gpu.Gpu, ...] = ()

    @property
    def tensorboard(self) -> bool:
        """Whether the trainer can write TensorBoard's events."""
        return "tensorboard" in self.packages and "torch.utils.tensorboard" not in self.broken


def folder(checkout: Checkout) -> Path:
    """Return where the environment of `checkout` is or will be."""
    if checkout.is_standin:
        return paths.home() / "environments" / "standin"
    if checkout.place:
        return checkout.place / "environment"  # its copies with patches use the same
    return paths.home() / "environments" / checkout.like  # never beside the user's own folder


def find(checkout: Checkout) -> Environment | None:
    """Return the environment created for `checkout`, or None if there is no complete one."""
    at = folder(checkout)
    return Environment(python_in(at), made=True) if (at / MARK).is_file() else None


def named(python: str) -> Environment:
    """Return the environment that the user's `--python` names: a path, or a name on PATH.

    Raises:
        UserError: it is not a Python 3.
    """
    given = Path(python).expanduser()
    on_path = shutil.which(python) if given.name == python else None
    interpreter = interpreters.ask(on_path or given)
    if interpreter is None:
        raise UserError(
            f"expected a Python 3 interpreter, but {python!r} is not one or does not run",
            hint="Give the program itself, for example .../kohya_ss/venv/bin/python.",
        )
    # Not resolved: Python finds its virtual environment by the path it is started with. On PATH
    # may be a shim (pyenv, py), which would choose another Python in the folder of the scripts.
    return Environment(interpreter.executable if on_path else given.absolute(), made=False)


def make(checkout: Checkout, *, on_line: OnLine, torch: str | None = None) -> Environment:
    """Return the environment of `checkout`, created if necessary: minutes, and 2 to 7 GB.

    `torch` is a version to use instead of the one chosen for this machine's driver.

    Raises:
        UserError: no fitting Python, too old a driver, pip failed, or the result does not work.
            No unfinished files are left.
    """
    at = folder(checkout)
    at.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(at.with_suffix(".lock")):
        if found := find(checkout):  # created while we waited for the lock
            return found
        shutil.rmtree(at, ignore_errors=True)
        try:
            return _make(checkout, at, _build(torch), on_line)
        except BaseException:
            shutil.rmtree(at, ignore_errors=True)
            raise


def probe(python: Path) -> Probe:
    """Return the packages of `python`, which of them fail to import, and the GPUs it finds."""
    found = _asked(python, (), {})
    return Probe(
        found["python"],
        found["packages"],
        found["broken"],
        found["cuda"]["version"],
        tuple(gpu.Gpu(**device) for device in found["cuda"]["devices"]),
    )


def with_modules(found: Probe, python: Path, modules: Iterable[str], scripts: Path) -> Probe:
    """Return the probe of `python`, with those of `modules` that fail to import.

    A module is "module" or "module:Class"; those of sd-scripts in `scripts` can be imported too.
    """
    if not (new := [name for name in modules if name not in kp_probe.IMPORTED]):
        return found
    broken = _asked(python, new, {"PYTHONPATH": str(scripts)})
    return replace(found, broken={**found.broken, **broken})


def constraints(release: str) -> Path:
    """Return our constraints file for `release`: that of the nearest family not newer than it."""
    files = sorted(CONSTRAINTS.glob("v*.txt"), key=lambda file: releases.order(file.stem))
    return [f for f in files if releases.order(f.stem) <= releases.order(release)][-1]


def requirements(text: str, build: TorchBuild) -> tuple[str, ...]:
    """Return what pip shall install: a release's own requirements, torch, and our extras.

    `-e .` goes (the checkout is put on PYTHONPATH instead, so that it stays as it was cloned), and
    so does the pin of bitsandbytes: its version must carry a library for the CUDA that torch uses.
    """
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    kept = [x for x in lines if x and not x.startswith("-") and package(x) not in EXTRAS[1:]]
    extras = [f"bitsandbytes=={build.bitsandbytes}"] if sys.platform != "darwin" else []
    if not any(package(line) == EXTRAS[0] for line in kept):
        extras.append(EXTRAS[0])
    return (f"torch=={build.torch}", f"torchvision=={build.torchvision}", *kept, *extras)


def package(requirement: str) -> str:
    """Return the name a requirement line is about, lower-case and with dashes."""
    return re.split(r"[\[=<>!~;\s]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _asked(python: Path, words: Sequence[str], env: Mapping[str, str]) -> dict[str, Any]:
    """Return what the probe prints in the environment of `python`."""
    env = {"PYTHONUTF8": "1", **env}
    said = proc.run([python, PROBE, *words], env=env, check=False, timeout_seconds=300)
    try:
        found: dict[str, Any] = json.loads(said.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        reason = (said.stderr.strip() or said.stdout.strip() or "it printed nothing")[-300:]
        raise UserError(f"{python} could not list its packages: {reason}") from None
    return found


def _make(checkout: Checkout, at: Path, build: TorchBuild, on_line: OnLine) -> Environment:
    interpreter = interpreters.choose(checkout.like)
    proc.run([interpreter.executable, "-m", "venv", at])
    text = _requirements_file(checkout).read_text(encoding="utf-8")
    wanted = requirements(text, build)
    if checkout.is_standin:
        wanted = (f"torch=={build.torch}", *text.splitlines())
    listed = at / "requirements.txt"
    listed.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    _pip(at, listed, constraints(checkout.like), on_line)
    found = probe(python_in(at))
    needed = {"torch", *map(package, wanted)} & set(NEEDED)
    if bad := [f"{name} ({found.broken[name]})" for name in needed & set(found.broken)]:
        raise UserError(
            f"the new environment does not work: {', '.join(bad)}",
            hint="Run `kohya-presets doctor`, or give a working environment with --python EXE.",
        )
    record = {
        "format": 1,
        "release": checkout.like,
        "python": found.python,
        "torch": found.packages.get("torch", ""),
        "torchvision": found.packages.get("torchvision", ""),
    }
    (at / MARK).write_text(toml_text.table(record), encoding="utf-8", newline="\n")
    return Environment(python_in(at), made=True)


def _pip(at: Path, listed: Path, constraint: Path, on_line: OnLine) -> None:
    argv = (str(python_in(at)), "-m", "pip", "install", "--no-input", "--progress-bar", "off")
    words = (*argv, "-r", str(listed), "-c", str(constraint))
    log = at.parent / "environment.log"
    log.unlink(missing_ok=True)
    done = launch.run(
        Launch(words, at.parent, log, {"PYTHONUTF8": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}),
        on_line=on_line,
    )
    if done.returncode:
        said = [line for line in done.tail if line.startswith(("ERROR", "error"))] or done.tail[-3:]
        raise UserError(f"pip failed: {' '.join(said)[-600:]}", hint=_pip_hint(done.tail, log))


def _pip_hint(tail: tuple[str, ...], log: Path) -> str:
    text = "\n".join(tail)
    if "No space left" in text:
        return (
            "The disk is full. The environment needs up to 7 GB. Free some space, or set "
            "KOHYA_PRESETS_HOME to a folder on another disk."
        )
    if "No matching distribution" in text or "ResolutionImpossible" in text:
        return (
            f"This Python may not fit the release; see {log}. Give another one with --python EXE."
        )
    if "Max retries" in text or "Temporary failure" in text or "NewConnectionError" in text:
        return f"pip found no connection; see {log}. Check it, then run the same command again."
    return f"See the full log: {log}"


def _build(torch: str | None) -> TorchBuild:
    driver = gpu.driver()
    if torch is not None:
        for build in gpu.BUILDS:
            if build.torch == torch:
                return build
        known = ", ".join(build.torch for build in gpu.BUILDS)
        raise UserError(f"unknown torch version {torch}", hint=f"Known versions: {known}.")
    chosen = gpu.build_for(driver)
    if chosen is None and driver is not None:
        raise UserError(
            f"driver {driver.version} supports CUDA {driver.cuda[0]}.{driver.cuda[1]} at most, but "
            f"torch needs CUDA {gpu.BUILDS[-1].cuda[0]}.{gpu.BUILDS[-1].cuda[1]}",
            hint="Update the NVIDIA driver, or give a working environment with --python EXE.",
        )
    assert chosen is not None
    return chosen


def _requirements_file(checkout: Checkout) -> Path:
    for name in ("requirements.txt", "requirements_windows_torch2.txt"):
        if (checkout.scripts / name).is_file():
            return checkout.scripts / name
    raise UserError(
        f"{checkout.scripts} has no requirements.txt",
        hint="Give the environment of these scripts with --python EXE.",
    )


def python_in(at: Path) -> Path:
    """Return the interpreter of the virtual environment in `at`."""
    return at / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
