"""Report what a run would use on this machine, and which parts do not fit together."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.problems import Place, Problem, values
from kohya_presets.sdscripts import releases
from wrapper.checkouts import checkout
from wrapper.checkouts.checkout import Checkout
from wrapper.environments import environment, gpu
from wrapper.environments.environment import Environment, Probe
from wrapper.environments.gpu import Driver
from wrapper.system import paths, proc

# Which torch and torchvision belong together, by minor version: torchvision 0.(n+15) to torch 2.n.
_VISION_AHEAD = 15
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^\s;#]+)")


@dataclass(frozen=True)
class Findings:
    """What was found, as lines of a table, and what is wrong with it."""

    facts: Mapping[str, str]
    problems: tuple[Problem, ...]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as values for JSON."""
        return {
            "facts": dict(self.facts),
            "problems": list(map(values, self.problems)),
        }


def examine(release: str, folder: Path | None, python: str | None) -> Findings:
    """Return what a run with these choices would use; downloads and creates nothing."""
    driver = gpu.driver()
    facts = {
        "kohya-presets": f"{metadata.version('kohya-presets')}, Python {sys.version.split()[0]}",
        "home": str(paths.home()),
        "git": _git(),
        "driver": _told(driver),
    }
    problems: list[Problem] = []
    if facts["git"] == "not found":
        hint = "Install git, or use a zip: `kohya-presets checkout add TAG --from FILE.zip`."
        problems.append(_problem("no-git", "warning", "git was not found", hint))
    found = _checkout(release, folder, problems)
    facts["sd-scripts"] = (
        f"{found.name}, {found.folder}" if found else f"{release}, not downloaded yet"
    )
    used = _environment(found, python, problems)
    if used is None:
        facts["environment"] = "not created yet"
        return Findings(facts, tuple(problems))
    probe = environment.probe(used.python)
    facts["environment"] = f"Python {probe.python}, {used.python}"
    facts |= {name: probe.packages.get(name, "not installed") for name in environment.TOLD}
    facts["xformers"] = probe.packages.get("xformers", "not installed (optional)")
    facts["GPU"] = ", ".join(map(str, probe.devices)) or "none"
    problems += judge(probe, driver, _pins(found) if found else {})
    return Findings(facts, tuple(problems))


def judge(probe: Probe, driver: Driver | None, pins: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what does not fit together in an environment, for a driver and a release's pins."""
    cpu_only = driver is None
    for package in (*environment.NEEDED, "torchvision", "bitsandbytes"):
        if package in probe.broken:
            repaired = package == "torchvision" and cpu_only
            optional = package == "bitsandbytes"
            severity = "warning" if repaired or optional else "error"
            hint = "The rehearsal works around this. A training run does not." if repaired else None
            message = f"Python cannot import {package}: {probe.broken[package]}"
            yield _problem("broken-package", severity, message, hint)
    yield from _torch(probe, driver)
    for package, pin in pins.items():
        have = probe.packages.get(package)
        if have is not None and have.split("+")[0] != pin:
            message = f"{package} {have} is installed, but this release requires {pin}"
            severity = "error" if package == "transformers" and _breaks(have, pin) else "warning"
            yield _problem("pin", severity, message, f"Run `pip install {package}=={pin}`.")


def _torch(probe: Probe, driver: Driver | None) -> Iterator[Problem]:
    torch, vision = (probe.packages.get(name, "") for name in ("torch", "torchvision"))
    minors = [re.match(r"(\d+)\.(\d+)", version) for version in (torch, vision)]
    if all(minors):
        major, minor = int(minors[0][1]), int(minors[0][2])  # type: ignore[index]
        if major == 2 and int(minors[1][2]) != minor + _VISION_AHEAD:  # type: ignore[index]
            message = f"torchvision {vision} does not fit torch {torch}"
            hint = f"Run `pip install torchvision==0.{minor + _VISION_AHEAD}.*`."
            yield _problem("torchvision", "error", message, hint)
    if driver is None:
        hint = "Training needs an NVIDIA GPU. A rehearsal runs without one."
        yield _problem("no-driver", "warning", "no NVIDIA driver found", hint)
    elif probe.cuda is None:
        message = f"torch {torch} was built without CUDA and cannot use the GPU"
        hint = "Run `kohya-presets checkout remove TAG`: the next run creates a new environment."
        yield _problem("torch-cpu", "error", message, hint)
    elif tuple(map(int, probe.cuda.split(".")[:2])) > driver.cuda:
        newest = ".".join(map(str, driver.cuda))
        message = (
            f"torch {torch} needs CUDA {probe.cuda}, "
            f"but driver {driver.version} supports CUDA {newest} at most"
        )
        yield _problem(
            "driver", "error", message, "Update the NVIDIA driver, or install an older torch."
        )


def _breaks(have: str, pin: str) -> bool:
    # transformers 4.31 dropped position_ids; releases that pin an older one fail on the checkpoint.
    def version(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", text)[:2])

    return version(pin) < (4, 31) <= version(have)


def _checkout(release: str, folder: Path | None, problems: list[Problem]) -> Checkout | None:
    try:
        return checkout.open_folder(folder) if folder else checkout.find(release)
    except UserError as error:
        severity = "error" if folder else "warning"
        problems.append(_problem("checkout", severity, str(error), error.hint))
        return None


def _environment(
    found: Checkout | None, python: str | None, problems: list[Problem]
) -> Environment | None:
    if python is not None:
        return environment.named(python)
    if found is None:
        return None
    if made := environment.find(found):
        return made
    hint = "The first run creates it."
    problems.append(
        _problem("environment", "warning", f"{found.name} has no environment yet", hint)
    )
    return None


def _pins(found: Checkout) -> dict[str, str]:
    file = found.scripts / "requirements.txt"
    if not file.is_file() or not releases.get(found.like):
        return {}
    pins = (_PIN.match(line) for line in file.read_text(encoding="utf-8").splitlines())
    named = {pin[1].lower().replace("_", "-"): pin[2] for pin in pins if pin}
    named.pop("bitsandbytes", None)  # ours goes with torch's CUDA
    return named


def _git() -> str:
    said = proc.run(["git", "--version"], check=False)
    return said.stdout.strip().removeprefix("git version ") if not said.returncode else "not found"


def _told(driver: Driver | None) -> str:
    if driver is None:
        return "none"
    gpus = ", ".join(map(str, driver.gpus))
    return f"{driver.version}, CUDA {driver.cuda[0]}.{driver.cuda[1]}, {gpus}"


def _problem(code: str, severity: Any, message: str, hint: str | None) -> Problem:
    return Problem(code, severity, Place(), message, hint)
