"""A rehearsal, from what was asked for to a run whose stages can start, and what it has shown."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.files import image_folder
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import errors
from kohya_presets.sdscripts import scripts
from wrapper.data import images
from wrapper.environments import environment
from wrapper.rehearsal import adapt, pictures
from wrapper.rehearsal.adapt import ENV, ROOM, SEED, STANDIN, Replacement
from wrapper.runs import job, manifest, preflight, runner, trainer
from wrapper.runs import request as requests
from wrapper.runs.job import Plan, Site
from wrapper.runs.manifest import Run, Stage
from wrapper.runs.request import Request
from wrapper.screen.talk import Talk
from wrapper.system.launch import RUN_MARK, Launch


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal ready to be carried out, and what it replaces of the preset."""

    run: Run
    replaced: tuple[Replacement, ...]
    standin: bool


def ready(request: Request, talk: Talk) -> Rehearsal:
    """Return a rehearsal with its folder made; an earlier rehearsal in that folder is replaced.

    Raises:
        UserError: the preset is for a model of which there is no miniature.
    """
    if not scripts.is_sdxl(request.preset.script):
        message = f"{request.preset.script} cannot be rehearsed: the miniature is an SDXL"
        raise UserError(message, hint="`train --dry-run` shows what would be run.")
    asked = requests.validate(request, talk)
    if request.standin:
        checkout = trainer.standin()
    else:
        checkout = trainer.checkout_or_standin(request.release, request.checkout, talk)
    standin = checkout.is_standin
    if standin:
        talk.warn("rehearsing with the stand-in, not with sd-scripts: it shows less")
    checkout = requests.fitting(request, checkout, asked, talk)
    used = trainer.environment_for(checkout, request.python, talk)
    probe = environment.probe(used.python)
    count = _count(request)
    preset, changes = adapt.adapt(request.preset, count)
    missing = preflight.environment(preset, probe, cpu=True)
    requests.stop_at((p for p in missing if not standin), talk, str(used.python))
    where = Site(
        run_dir=request.folder,
        scripts=checkout.scripts,
        python=str(used.python),
        data=request.folder / "data",
        base=_base(request.folder),
        in_front=adapt.in_front(standin=standin),
        cpu=True,
        env=adapt.ENV,
    )
    extra = {"tokenizer_cache_dir": str(_tokenizers(request.folder))}
    plan = job.plan(preset, request.preset.name, where, seed=adapt.SEED, extra=extra)
    first = _miniature(request.folder, checkout.scripts, str(used.python), standin=standin)
    plan = Plan(plan.files, (first, *plan.stages))
    facts = trainer.facts(checkout, used, probe) | {
        "data": {"folder": str(request.data or "drawn"), "images": count}
    }
    _clear(request.folder)
    run = requests.started(request, "rehearsal", preset, checkout, plan, facts)
    _fill(request, where.data)
    return Rehearsal(run, changes, standin)


def proved(run: Run, standin: bool) -> tuple[str, ...]:
    """Return what a rehearsal that came to its end has shown."""
    names = [stage.name for stage in run.stages if stage.name != "miniature"]
    whose = "the stand-in's" if standin else "sd-scripts' own"
    return (
        f"{whose} scripts accept every option of the preset ({', '.join(names)})",
        "the rendered config.toml and dataset.toml are read, images and captions are found",
        "training moves the U-Net" + (" and both text encoders" if run.text_encoders else ""),
        "each stage finds what the one before it made, and the LoRA is whole",
    )


def not_proved(preset: Preset, standin: bool) -> tuple[str, ...]:
    """Return what a rehearsal cannot show."""
    vram = f" ({preset.vram_gib:g} GB are meant)" if preset.vram_gib else ""
    left = [
        f"that it fits into the GPU's memory{vram}, and how fast it is there",
        "mixed precision, xformers, 8-bit optimizers and whatever else was replaced above",
        "your base model, and what the LoRA looks like",
    ]
    return ("that sd-scripts itself does any of this", *left) if standin else tuple(left)


def _clear(folder: Path) -> None:
    """Delete an earlier rehearsal; anything else in its place is not ours to delete."""
    if not folder.exists():
        return
    if manifest.read(folder).kind != "rehearsal":
        raise UserError(f"{folder} is no rehearsal", hint="Choose another folder with --runs.")
    with runner.lock(folder):
        pass
    shutil.rmtree(folder)


def _count(request: Request) -> int:
    """Return how many images will be rehearsed with; those given are checked."""
    if request.data is None:
        return pictures.COUNT
    data = request.data.expanduser().resolve()
    found = image_folder.scan(data, caption_extension=request.caption_extension)
    if wrong := errors(images.problems(found)):
        raise ProblemsError(f"the images in {data}", wrong)
    return min(len(found.images), pictures.MOST)


def _fill(request: Request, into: Path) -> None:
    if request.data is None:
        pictures.draw(into)
    else:
        data = request.data.expanduser().resolve()
        pictures.copy_some(data, into, request.caption_extension)


def _miniature(run_dir: Path, scripts: Path, python: str, *, standin: bool) -> Stage:
    """Return the stage that makes the checkpoint and the tokenizers to rehearse with."""
    maker = STANDIN / "make_checkpoint.py" if standin else ROOM / "kp_checkpoint.py"
    made = run_dir / "work" / "miniature" / "base.safetensors"
    argv = (
        python,
        str(maker),
        f"--out={made}",
        f"--tokenizers={_tokenizers(run_dir)}",
        f"--seed={SEED}",
    )
    env = {**ENV, "PYTHONPATH": str(scripts), "PYTHONUTF8": "1", RUN_MARK: str(run_dir)}
    launch = Launch(argv, scripts, run_dir / "logs" / "miniature.log", env)
    return Stage("miniature", launch, made, _base(run_dir), "an SDXL checkpoint")


def _base(run_dir: Path) -> Path:
    """Return where the miniature checkpoint of a run lies."""
    return run_dir / "miniature" / "base.safetensors"


def _tokenizers(run_dir: Path) -> Path:
    """Return where the tokenizers of a run lie."""
    return run_dir / "miniature" / "tokenizers"
