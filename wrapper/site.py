"""Find or make what a run stands on: the checkout and the trainer environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kohya_presets import releases
from wrapper import checkout, environment, paths, recognize
from wrapper.acquire import Unreachable
from wrapper.checkout import SCRIPTS, Checkout
from wrapper.environment import Environment, Probe
from wrapper.rehearsal import STANDIN
from wrapper.talk import Talk

TOLD = ("torch", "torchvision", "accelerate", "transformers", "diffusers", "bitsandbytes")


def checkout_for(release: str, folder: Path | None, talk: Talk) -> Checkout:
    """Return the checkout in `folder`, or that of `release`, got now if it is not there yet."""
    if folder is not None:
        return checkout.open_folder(folder)
    return checkout.add(release, on_step=talk.say)


def checkout_or_standin(release: str, folder: Path | None, talk: Talk) -> Checkout:
    """Return the checkout as `checkout_for` does, or the stand-in where upstream cannot be had."""
    try:
        return checkout_for(release, folder, talk)
    except Unreachable as error:
        talk.warn(f"{error}")
        return standin()


def standin() -> Checkout:
    """Return our own three scripts, as if they were a checkout of the default release."""
    return Checkout(STANDIN, STANDIN, "plain", None, releases.DEFAULT, source=checkout.STANDIN)


def expected(release: str, folder: Path | None) -> tuple[Path, str]:
    """Return the scripts and the Python that a run would use, made or not: for a dry run."""
    if folder is not None:
        found = checkout.open_folder(folder)
    else:
        tag = releases.find(release).tag if releases.get(release) else release[:12]
        at = paths.checkouts() / tag / SCRIPTS
        found = Checkout(at, at, "plain", tag, tag)
    return found.scripts, str(environment.python_in(environment.folder(found)))


def environment_for(found: Checkout, python: str | None, talk: Talk) -> Environment:
    """Return the Python the user named, or the one beside the checkout, made now if need be."""
    if python is not None:
        return environment.named(python)
    if made := environment.find(found):
        return made
    talk.say(f"making the trainer environment of {found.name}: once, some minutes")
    with talk.lines("pip") as on_line:
        return environment.make(found, on_line=on_line)


def facts(found: Checkout, used: Environment, probe: Probe) -> dict[str, Mapping[str, Any]]:
    """Return what the manifest says about where a run happened."""
    return {
        "sd-scripts": {
            "release": found.release or "",
            "like": found.like,
            "commit": found.commit or "",
            "folder": str(found.scripts),
            "layout": found.layout,
            "patches": sorted(recognize.patches_in(found.scripts)),
            "standin": found.is_standin,
        },
        "environment": {
            "python": str(used.python),
            "version": probe.python,
            **{name: probe.packages[name] for name in TOLD if name in probe.packages},
            "gpus": [device.name for device in probe.devices],
        },
    }
