"""A rehearsal: turn a request into a run that can start, and say what the run has proved."""

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
    """A rehearsal ready to run, and the preset's settings that it replaces."""

    run: Run
    replaced: tuple[Replacement, ...]
    standin: bool


def ready(request: Request, talk: Talk) -> Rehearsal:
    """Return a rehearsal with its folder made; it replaces an earlier rehearsal there.

    Raises:
        UserError: the preset is for another model than SDXL.
    """
    if not scripts.is_sdxl(request.preset.script):
        message = f"{request.preset.script} cannot be rehearsed: rehearsals are for SDXL only"
        hint = "Run `kohya-presets train` with --dry-run to see its commands."
        raise UserError(message, hint=hint)
    asked = requests.validate(request, talk)
    if request.standin:
        checkout = trainer.standin()
    else:
        checkout = trainer.checkout_or_standin(request.release, request.checkout, talk)
    standin = checkout.is_standin
    if standin:
        talk.warn("rehearsing with the stand-in scripts, not with sd-scripts: this tests less")
    checkout = requests.fitting(request, checkout, asked, talk)
    used = trainer.environment_for(checkout, request.python, talk)
    count = _count(request)
    preset, changes = adapt.adapt(request.preset, count)
    modules = preflight.modules(preset)
    probe = environment.probe(used.python)
    probe = environment.with_modules(probe, used.python, modules, checkout.scripts)
    missing = preflight.environment(preset, probe, cpu=True, python=used.python)
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
    """Return what a finished rehearsal has proved: only what this very run measured."""
    names = [stage.name for stage in run.stages if stage.name != "miniature"]
    scripts_name = "the stand-in scripts" if standin else "sd-scripts"
    lines = [
        f"{scripts_name} accepted all options of the stages {', '.join(names)}",
        "the trainer read config.toml, dataset.toml and the images",
        f"each stage read the file of the stage before it, and {run.product.name} is complete",
    ]
    if "extract" in names:  # `runner` looked into the LoRA: it holds the difference
        both = " and both text encoders" if run.text_encoders else ""
        lines.append(f"training changed the U-Net{both}")
    return tuple(lines)


def not_proved(preset: Preset, standin: bool) -> tuple[str, ...]:
    """Return what a rehearsal cannot show."""
    vram = f" (the preset is meant for {preset.vram_gib:g} GB)" if preset.vram_gib else ""
    lines = [
        f"whether training fits into GPU memory{vram}, and how fast it is",
        "mixed precision, xformers, 8-bit optimizers and all other settings changed above",
        "your base model, and the quality of the LoRA",
    ]
    if preset.extract is None:
        lines.insert(0, "whether training changes the weights")
    return ("whether sd-scripts itself works", *lines) if standin else tuple(lines)


def _clear(folder: Path) -> None:
    """Delete an earlier rehearsal; refuse to delete anything else."""
    if not folder.exists():
        return
    if manifest.read(folder).kind != "rehearsal":
        raise UserError(f"{folder} is not a rehearsal", hint="Choose another --runs DIR.")
    with runner.lock(folder):
        pass
    shutil.rmtree(folder)


def _count(request: Request) -> int:
    """Return the number of images to rehearse with; the user's own images are checked."""
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
    """Return the stage that creates the checkpoint and the tokenizers of the rehearsal."""
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
    """Return the path of a run's miniature checkpoint."""
    return run_dir / "miniature" / "base.safetensors"


def _tokenizers(run_dir: Path) -> Path:
    """Return the folder of a run's tokenizers."""
    return run_dir / "miniature" / "tokenizers"
