"""Find or create what a run needs: the checkout and the trainer environment."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import options, releases
from patches import registry
from patches.registry import Patch
from wrapper.checkouts import checkout, patchwork, trees
from wrapper.checkouts.acquire import Unreachable
from wrapper.checkouts.checkout import SOURCES, Checkout
from wrapper.environments import environment
from wrapper.environments.environment import Environment, Probe
from wrapper.planning import preflight
from wrapper.rehearsal.adapt import STANDIN
from wrapper.screen.talk import Talk
from wrapper.system import paths, rewrite


def checkout_for(release: str, folder: Path | None, talk: Talk) -> Checkout:
    """Return the checkout in `folder`, or that of `release`, downloaded if necessary."""
    if folder is not None:
        return checkout.open_folder(folder)
    return checkout.add(release, on_step=talk.say)


def checkout_or_standin(release: str, folder: Path | None, talk: Talk) -> Checkout:
    """Return the checkout as `checkout_for` does, or the stand-in if upstream is out of reach."""
    try:
        return checkout_for(release, folder, talk)
    except Unreachable as error:
        talk.warn(str(error))
        return standin()


def standin() -> Checkout:
    """Return our own three scripts, as if they were a checkout of the default release."""
    return Checkout(STANDIN, STANDIN, "plain", None, releases.DEFAULT, origin=checkout.STANDIN)


def with_patches(found: Checkout, names: Sequence[str], talk: Talk) -> Checkout:
    """Return a checkout with these patches; of one of ours, a copy made for them.

    The user's own folder is not changed; `preflight.patches` says what it lacks.

    Raises:
        PatchError: one of them cannot be applied.
    """
    patches = [registry.find(name, paths.user_patches()) for name in names]
    if found.is_standin:
        return _patched_standin(patches) if patches else found
    return trees.with_patches(found, patches, on_step=talk.say) if found.is_ours else found


def _patched_standin(patches: Sequence[Patch]) -> Checkout:
    """Return a copy of the stand-in with these patches, made once for each state of all files."""
    sources = [options.FACTS, *STANDIN.rglob("*.py"), *(f for p in patches for f in p.files)]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(sources))).hexdigest()
    at = paths.home() / "stand-in" / digest[:12]
    made = Checkout(at, at, "plain", None, releases.DEFAULT, origin=checkout.STANDIN)
    if not at.exists():
        at.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=at.parent) as work:
            copy = Path(work) / "scripts"
            shutil.copytree(STANDIN, copy, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(options.FACTS, copy / patchwork.LIBRARY)
            rewrite.carry_out(patchwork.applying(replace(made, folder=copy, scripts=copy), patches))
            with contextlib.suppress(OSError):  # another process was faster
                copy.rename(at)
    return made


def expected(release: str, folder: Path | None, names: Sequence[str]) -> tuple[Path, str]:
    """Return the scripts and the Python that a run would use, existing or not: for a dry run.

    `names` are the patches of its preset.
    """
    found = foreseen(release, folder)
    if found is None:
        at = paths.checkouts() / release[:12] / SOURCES
        found = Checkout(at, at, "plain", None, releases.DEFAULT, release.lower())
    patches = [registry.find(name, paths.user_patches()) for name in names]
    return trees.foreseen(found, patches), str(environment.python_in(environment.folder(found)))


def foreseen(release: str, folder: Path | None) -> Checkout | None:
    """Return the checkout that a run would use, existing or not; None for an unknown commit."""
    if folder is not None:
        return checkout.open_folder(folder)
    if known := releases.get(release):
        at = paths.checkouts() / known.tag / SOURCES
        return Checkout(at, at, "plain", known.tag, known.tag, known.commit)
    if not releases.is_commit(release):
        releases.find(release)  # raises, and names the known ones
    for between in releases.between():
        if release.lower() in between.commits:
            near = options.nearest_release(between.name)
            at = paths.checkouts() / release[:12] / SOURCES
            return Checkout(at, at, "plain", None, near, release, between=between.name)
    return None


def environment_for(found: Checkout, python: str | None, talk: Talk) -> Environment:
    """Return the Python the user named, or the checkout's own, created if necessary."""
    if python is not None:
        return environment.named(python)
    if made := environment.find(found):
        return made
    talk.say(f"creating the trainer environment for {found.name} (once; takes a few minutes)")
    with talk.lines("pip") as on_line:
        return environment.make(found, on_line=on_line)


def probed(used: Environment, preset: Preset, checkout: Checkout) -> Probe:
    """Return what an environment has, and which modules that the preset needs fail to import."""
    found = environment.probe(used.python)
    modules = preflight.modules(preset)
    return environment.with_modules(found, used.python, modules, checkout.scripts)


def facts(found: Checkout, used: Environment, probe: Probe) -> dict[str, Mapping[str, Any]]:
    """Return what the manifest says about where a run happened."""
    carried = sorted(patchwork.carried(found))
    return {
        "sd-scripts": {
            "release": found.release or "",
            "like": found.like,
            "commit": found.commit or "",
            "folder": str(found.scripts),
            "layout": found.layout,
            "tree": found.folder.parent.name if found.is_copy else "",
            "patches": carried,
            "standin": found.is_standin,
        },
        "patches": dict(found.patches) if found.is_ours else _hashes(found, carried),
        "environment": {
            "python": str(used.python),
            "version": probe.python,
            **{name: probe.packages[name] for name in environment.TOLD if name in probe.packages},
            "gpus": [device.name for device in probe.devices],
        },
    }


def _hashes(found: Checkout, names: Iterable[str]) -> dict[str, str]:
    """Return the hash of each patch in a folder that is not ours; of another version, none."""
    hashes = dict.fromkeys(names, "")
    for name in hashes:
        with contextlib.suppress(UserError):  # it exists no more
            patch = registry.find(name, paths.user_patches())
            if patchwork.status(found, patch).state == "applied":
                hashes[name] = patch.sha256()
    return hashes
