"""A rehearsal: turn a request into a run that can start, and say what a run cannot prove."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.memory.estimate import Estimate
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import scripts
from kohya_presets.training import trained
from kohya_presets.training.spread import ALONE
from wrapper.data import of_run
from wrapper.planning import inputs, launcher, preflight, trainer, wishes
from wrapper.planning import request as requests
from wrapper.planning.memory import full_size
from wrapper.planning.request import Request
from wrapper.rehearsal import adapt, changed, pictures
from wrapper.rehearsal.adapt import Replacement
from wrapper.runs import manifest, runner
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import folders, names

_NAMES = dict(zip(trained.PARTS, changed.PARTS, strict=False))


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal ready to run: its small preset, what that trains, the settings replaced."""

    run: Run
    preset: Preset
    trained: tuple[str, ...]  # the parts of the model, as `changed.PARTS` calls them
    replaced: tuple[Replacement, ...]
    standin: bool
    estimated: Estimate | None = None  # of the preset's memory, at true size


def ready(request: Request, talk: Talk) -> Rehearsal:
    """Return a rehearsal with its folder made; it replaces an earlier rehearsal there.

    Raises:
        UserError: the preset is for another model than SDXL.
    """
    if not scripts.is_sdxl(request.preset.script):
        message = f"{request.preset.script} cannot be rehearsed: rehearsals are for SDXL only"
        hint = "Run `kohya-presets train` with --dry-run to see its commands."
        raise UserError(message, hint=hint)
    names.usable(request.preset.name)  # of the model and the LoRA
    names.usable(request.name)
    _require_replaceable(request.folder)
    wanted = request.preset
    request = wishes.granted(request, None, data=request.data)
    asked = requests.validate(request, talk)
    if request.standin:
        checkout = trainer.standin()
    else:
        checkout = trainer.checkout_or_standin(request.release, request.checkout, talk)
    standin = checkout.is_standin
    if standin:
        request = wishes.without(request, wanted)
        talk.warn("rehearsing with the stand-in scripts, not with sd-scripts: this tests less")
        if request.spread.processes > 1:
            talk.warn("the stand-in trains in one process")
        request = replace(request, spread=ALONE)
    checkout = requests.fitting(request, checkout, asked, talk)
    used = trainer.environment_for(checkout, request.python, talk)
    count = _count(request, talk)
    full, estimated = request.full_size, None
    if full:
        known = requests.settings_of(request.preset, checkout)
        estimated = full_size.require_room(request.preset, known, request.folder, talk)
    preset, changes = adapt.adapt(wishes.settled(request.preset), count, full_size=full)
    probe = trainer.probed(used, preset, checkout)
    missing = preflight.environment(preset, probe, cpu=True, python=used.python)
    requests.stop_at((p for p in missing if not standin), talk, str(used.python))
    planned_with = inputs.rehearsal(
        request.folder,
        request.preset.name,
        checkout.scripts,
        str(used.python),
        standin=standin,
        tensorboard=probe.tensorboard,
        full_size=full_size.base(checkout, used.python, talk) if full else None,
        spread=launcher.listening(request.spread),
    )
    plan = inputs.plan(preset, planned_with)
    facts = trainer.facts(checkout, used, probe) | {
        "data": {"folder": str(request.data or "drawn"), "images": count},
        inputs.TABLE: planned_with.table(),
    }
    _clear(request.folder)
    run = requests.started(request, "rehearsal", preset, checkout, plan, facts)
    _fill(request, planned_with.data)
    rates = requests.training(preset, checkout).rates
    parts = tuple(_NAMES[part] for part, rate in rates.items() if rate != 0)
    return Rehearsal(run, preset, parts, changes, standin, estimated)


def not_proved(preset: Preset, standin: bool) -> tuple[str, ...]:
    """Return what a rehearsal cannot show."""
    vram = f" (the preset is meant for {preset.vram_gib:g} GB)" if preset.vram_gib else ""
    lines = [
        f"whether training fits into GPU memory{vram}, and how fast it is",
        "mixed precision, xformers, 8-bit optimizers and all other settings changed above",
        "your base model, and the quality of the LoRA",
    ]
    return ("whether sd-scripts itself works", *lines) if standin else tuple(lines)


def _clear(folder: Path) -> None:
    """Delete an earlier rehearsal; refuse to delete anything else."""
    _require_replaceable(folder)
    if folder.exists():
        with folders.made(folder.parent) as work:  # a kill on the way leaves the name free
            folder.rename(work / folder.name)


def _require_replaceable(folder: Path) -> None:
    """Raise UserError unless there is nothing at `folder`, or a rehearsal that has ended."""
    if not folder.exists():
        return
    if manifest.read(folder).kind != "rehearsal":
        raise UserError(f"{folder} is not a rehearsal", hint="Choose another --runs DIR.")
    with runner.lock(folder):
        runner.require_idle(folder)


def _count(request: Request, talk: Talk) -> int:
    """Return the number of images to rehearse with; the user's own images are checked."""
    if request.data is None:
        return _drawn(request)
    images = requests.images(request, request.data.expanduser().resolve(), talk)
    return min(len(images.items), pictures.MOST)


def _drawn(request: Request) -> int:
    """Return how many images are drawn where none are given; at true size one for each step."""
    return adapt.FULL_STEPS if request.full_size else pictures.COUNT


def _fill(request: Request, into: Path) -> None:
    if request.data is None:
        pictures.draw(into, _drawn(request))
    else:
        subsets = of_run.of(request.preset, request.data.expanduser().resolve(), request.release)
        pictures.copy_some(subsets, into, request.caption_extension)
