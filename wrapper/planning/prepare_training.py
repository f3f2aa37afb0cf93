"""Training: turn a request into a run that can start. Checks come first, then the folder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem
from wrapper.data import base_model, listing
from wrapper.planning import disk, inputs, launcher, preflight, trainer, wishes
from wrapper.planning import request as requests
from wrapper.planning.inputs import Inputs
from wrapper.planning.job import Plan
from wrapper.planning.request import Request
from wrapper.runs import runner
from wrapper.runs.kept import states
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import names


def dry(request: Request, data: Path, base: str, talk: Talk) -> Plan:
    """Return what `train` would run; downloads and writes nothing.

    Raises:
        PresetError: the preset has errors. Images and machine are not checked.
        ProblemsError: the base model is a file on this machine, and cannot be trained so.
    """
    request = wishes.granted(request, talk, data=data)
    requests.validate(request, talk)
    at, python = trainer.expected(request.release, request.checkout, request.preset.patches)
    file = Path(base).expanduser()
    if file.is_file():
        requests.stop_at(_model(request, file), talk, "the base model")
    planned_with = Inputs(
        "train",
        request.folder,
        names.usable(request.name),
        at,
        request.python or python,
        data.expanduser().resolve(),
        file.resolve() if file.is_file() else file,
        seed=0,
        spread=request.spread,
    )
    return inputs.plan(wishes.settled(request.preset), planned_with)


def ready(request: Request, data: Path, base: str, talk: Talk) -> Run:
    """Return a run with its folder created, after all checks.

    Raises:
        ProblemsError: with everything that does not fit.
        UserError: the run's folder exists, or a download failed.
    """
    request = wishes.granted(request, talk, data=data)
    preset, data = request.preset, data.expanduser().resolve()
    asked = requests.validate(request, talk)
    names.usable(request.name)
    if request.folder.exists():
        raise runner.taken(request.folder)
    if request.states is not None:
        _require_state(request.states, preset, talk)
    # Quick checks come before minutes of downloads.
    requests.stop_at(preflight.parts(preset), talk, preset.script)
    images = requests.images(request, data, talk)
    model = base_model.find(base, on_step=talk.say)
    requests.stop_at(_model(request, model.file), talk, "the base model")
    request, written = requests.with_room(request, asked, model.file, len(images.items), talk)
    preset = wishes.settled(request.preset)
    request = replace(request, preset=preset)
    talk.say(f"the run needs {disk.said(written)}")
    requests.stop_at(disk.problems(written, request.folder), talk, "the disk")
    checkout = trainer.checkout_for(request.release, request.checkout, talk)
    checkout = requests.fitting(request, checkout, asked, talk)
    used = trainer.environment_for(checkout, request.python, talk)
    probe = trainer.probed(used, preset, checkout)
    lacks = preflight.environment(
        preset, probe, cpu=False, python=used.python, spread=request.spread
    )
    requests.stop_at(lacks, talk, str(used.python))
    planned_with = Inputs(
        "train",
        request.folder,
        request.name,
        checkout.scripts,
        str(used.python),
        data,
        model.file,
        random.randrange(2**32),
        device="cuda" if probe.devices else None,
        tensorboard=probe.tensorboard,
        spread=launcher.listening(request.spread),
    )
    plan = inputs.plan(preset, planned_with)
    images_now = listing.text(listing.of(images.subsets))
    plan = replace(plan, files={**plan.files, listing.FILE: images_now})
    talk.say(f"computing the checksum of {model.file.name}")
    facts = trainer.facts(checkout, used, probe) | {
        "base": {
            "reference": model.reference,
            "file": str(model.file),
            "revision": model.revision or "",
            "size": model.file.stat().st_size,
            "modified": model.file.stat().st_mtime_ns,
            "sha256": weights.sha256(model.file),
        },
        "data": {"folder": str(data), "images": len(images.items)},
        inputs.TABLE: planned_with.table(),
    }
    return requests.started(request, "train", preset, checkout, plan, facts)


def _require_state(folder: Path, preset: Preset, talk: Talk) -> None:
    """Say which state training will go on from.

    Raises:
        UserError: there is none, or the run could not go on from one.
    """
    found = states.inside(folder)
    if not found:
        raise UserError(
            f"{folder} has no whole state of training", hint="Give the folder that `unpack` named."
        )
    if states.PATCH not in preset.patches:
        raise UserError(
            f"{preset.script} cannot go on from a state of kohya-presets",
            hint="Leave out --states: then training begins anew.",
        )
    talk.say(f"training will go on after step {found[0].step}, from {found[0].folder}")


def _model(request: Request, file: Path) -> Iterator[Problem]:
    return preflight.model(request.preset, file, ignore=request.ignore)
