"""From what the user asked for to a run that can be carried out: checks first, then the folder."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from kohya_presets.files import image_folder
from kohya_presets.sdscripts import scripts
from kohya_presets.loras import weights
from kohya_presets.errors import PresetError, ProblemsError, UserError
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem, errors
from wrapper.data import base_model
from wrapper.environments import environment
from wrapper.data import images
from wrapper.runs import job
from wrapper.runs import manifest
from wrapper.runs import preflight
from wrapper.rehearsal import adapt
from wrapper.runs import runner
from wrapper.runs import trainer
from wrapper.checkouts.checkout import Checkout
from wrapper.runs.job import Plan, Site
from wrapper.runs.manifest import Run
from wrapper.rehearsal.adapt import Change
from wrapper.screen.talk import Talk


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    preset: Preset
    name: str
    runs: Path
    release: str
    checkout: Path | None = None
    python: str | None = None
    data: Path | None = None  # of a rehearsal; `train` always has some
    standin: bool = False
    ignore: tuple[str, ...] = ()  # codes of rules that are not asked

    @property
    def folder(self) -> Path:
        """The run's folder, absolute: the trainer runs elsewhere."""
        return (self.runs / self.name).expanduser().resolve()


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal ready to be carried out, and what it replaces of the preset."""

    run: Run
    changes: tuple[Change, ...]
    standin: bool


def dry(request: Request, data: Path, base: str, talk: Talk) -> Plan:
    """Return what `train` would run, with nothing fetched, made or written.

    Raises:
        PresetError: the preset has errors. Images, base model and machine are not looked at.
    """
    _validate(request, talk)
    at, python = trainer.expected(request.release, request.checkout)
    file = Path(base).expanduser()
    where = Site(
        run_dir=request.folder,
        scripts=at,
        python=request.python or python,
        data=data.expanduser().resolve(),
        base=file.resolve() if file.is_file() else file,
    )
    return job.plan(request.preset, preflight.name(request.name), where, seed=0)


def train(request: Request, data: Path, base: str, talk: Talk) -> Run:
    """Return a run with its folder made, after everything that can be checked was.

    Raises:
        ProblemsError: something does not fit; all of it is told.
        UserError: the run's folder is taken, or a part could not be had.
    """
    preset, data = request.preset, data.expanduser().resolve()
    _validate(request, talk)
    preflight.name(request.name)
    _free(request.folder)
    # What costs nothing to look at comes before minutes of downloads.
    _stop_at(preflight.parts(preset), talk, preset.script)
    found = image_folder.scan(data, caption_extension=_extension(preset))
    _stop_at(images.problems(found), talk, f"the images in {data}")
    model = base_model.find(base, on_step=talk.say)
    weights.require(model.file, scripts.EVERY[preset.script].bases)
    _stop_at(preflight.disk(preset, model.file, request.folder), talk, "the disk")
    checkout = trainer.checkout_for(request.release, request.checkout, talk)
    checkout = _fitting(request, checkout, talk)
    used = trainer.environment_for(checkout, request.python, talk)
    probe = environment.probe(used.python)
    _stop_at(preflight.environment(preset, probe, cpu=False), talk, str(used.python))
    where = Site(
        run_dir=request.folder,
        scripts=checkout.scripts,
        python=str(used.python),
        data=data,
        base=model.file,
        device="cuda" if probe.devices else None,
    )
    plan = job.plan(preset, request.name, where, seed=random.randrange(2**32))
    talk.say(f"hashing {model.file.name}")
    facts = trainer.facts(checkout, used, probe) | {
        "base": {
            "reference": model.reference,
            "file": str(model.file),
            "revision": model.revision or "",
            "sha256": weights.sha256(model.file),
        },
        "data": {"folder": str(data), "images": len(found.images)},
    }
    return _started(request, "train", preset, plan, facts)


def rehearse(request: Request, talk: Talk) -> Rehearsal:
    """Return a rehearsal with its folder made; an earlier rehearsal in that folder is replaced.

    Raises:
        UserError: the preset is for a model of which there is no miniature.
    """
    if not scripts.is_sdxl(request.preset.script):
        message = f"{request.preset.script} cannot be rehearsed: the miniature is an SDXL"
        raise UserError(message, hint="`train --dry-run` shows what would be run.")
    _validate(request, talk)
    if request.standin:
        checkout = trainer.standin()
    else:
        checkout = trainer.checkout_or_standin(request.release, request.checkout, talk)
    standin = checkout.is_standin
    if standin:
        talk.warn("rehearsing with the stand-in, not with sd-scripts: it shows less")
    checkout = _fitting(request, checkout, talk)
    used = trainer.environment_for(checkout, request.python, talk)
    probe = environment.probe(used.python)
    count = _count(request)
    preset, changes = adapt.adapt(request.preset, count)
    missing = preflight.environment(preset, probe, cpu=True)
    _stop_at((p for p in missing if not standin), talk, str(used.python))
    where = Site(
        run_dir=request.folder,
        scripts=checkout.scripts,
        python=str(used.python),
        data=request.folder / "data",
        base=adapt.base(request.folder),
        in_front=adapt.in_front(standin),
        cpu=True,
        env=adapt.ENV,
    )
    extra = {"tokenizer_cache_dir": str(adapt.tokenizers(request.folder))}
    plan = job.plan(preset, request.preset.name, where, seed=adapt.SEED, extra=extra)
    first = adapt.miniature(request.folder, checkout.scripts, str(used.python), standin=standin)
    plan = Plan(plan.files, (first, *plan.stages))
    facts = trainer.facts(checkout, used, probe) | {
        "data": {"folder": str(request.data or "drawn"), "images": count}
    }
    _clear(request.folder)
    run = _started(request, "rehearsal", preset, plan, facts)
    _fill(request, where.data)
    return Rehearsal(run, changes, standin)


def _started(
    request: Request,
    kind: manifest.Kind,
    preset: Preset,
    plan: Plan,
    facts: Mapping[str, Mapping[str, object]],
) -> Run:
    run = Run(
        request.folder, kind, preset.name, request.name, plan.stages, _text_encoders(preset), facts
    )
    return runner.start(run, plan.files)


def _validate(request: Request, talk: Talk) -> None:
    """Stop at what is wrong with the preset before anything is fetched, and tell the warnings.

    Raises:
        PresetError: with all of it.
    """
    expected = trainer.standin() if request.standin else None
    expected = expected or trainer.foreseen(request.release, request.checkout)
    if expected:
        talk.problems(p for p in _fit(request, expected) if p.severity != "error")


def _fitting(request: Request, checkout: Checkout, talk: Talk) -> Checkout:
    """Return the checkout with the preset's patches, after all that can speak against it."""
    preset, subject = request.preset, f"{request.preset.name} on {checkout.name}"
    _fit(request, checkout)
    checkout = trainer.with_patches(checkout, preset.patches, talk)
    _stop_at(preflight.patches(preset, checkout), talk, subject)
    return checkout


def _fit(request: Request, checkout: Checkout) -> list[Problem]:
    found = list(preflight.fit(request.preset, checkout, ignore=request.ignore))
    if wrong := errors(found):
        raise PresetError(f"{request.preset.name} on {checkout.name}", wrong)
    return found


def _text_encoders(preset: Preset) -> bool:
    if scripts.makes_lora(preset.script):  # other models have no second one
        both = scripts.is_sdxl(preset.script)
        return both and not preset.train.get("network_train_unet_only")
    rates = (preset.train.get(f"learning_rate_te{n}", 1) for n in (1, 2))
    return bool(preset.train.get("train_text_encoder")) and all(rate != 0 for rate in rates)


def _stop_at(problems: Iterable[Problem], talk: Talk, subject: str) -> None:
    found = list(problems)
    if wrong := errors(found):
        raise ProblemsError(subject, wrong)
    talk.problems(found)


def _free(folder: Path) -> None:
    if folder.exists():
        raise UserError(
            f"there is a run in {folder} already",
            hint=f'Go on with it: kohya-presets resume "{folder}", or choose another --name.',
        )


def _clear(folder: Path) -> None:
    """Delete an earlier rehearsal; anything else in its place is not ours to delete."""
    if not folder.exists():
        return
    if manifest.read(folder).kind != "rehearsal":
        raise UserError(f"{folder} is no rehearsal", hint="Choose another folder with --runs.")
    try:
        with FileLock(folder / ".lock", timeout=0):
            pass
    except Timeout:
        raise UserError(f"a rehearsal is at work in {folder}", hint="Wait for it.") from None
    shutil.rmtree(folder)


def _count(request: Request) -> int:
    """Return how many images will be rehearsed with; those given are checked."""
    if request.data is None:
        return adapt.IMAGES
    data = request.data.expanduser().resolve()
    found = image_folder.scan(data, caption_extension=_extension(request.preset))
    if wrong := errors(images.problems(found)):
        raise ProblemsError(f"the images in {data}", wrong)
    return min(len(found.images), adapt.MOST_IMAGES)


def _fill(request: Request, into: Path) -> None:
    if request.data is None:
        adapt.images(into)
    else:
        data = request.data.expanduser().resolve()
        adapt.copy_some(data, into, _extension(request.preset))


def _extension(preset: Preset) -> str:
    return str(preset.dataset.get("caption_extension", ".txt"))
