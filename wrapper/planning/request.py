"""What a command asks for, and the checks that come before every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kohya_presets.dataset.collection import Collection
from kohya_presets.errors import PresetError, ProblemsError
from kohya_presets.loras import weights
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem, errors
from kohya_presets.sdscripts import releases
from kohya_presets.training import settings
from kohya_presets.training.settings import Settings
from kohya_presets.training.spread import ALONE, Spread
from kohya_presets.training.trained import Training
from patches import registry
from wrapper.checkouts.checkout import Checkout
from wrapper.data import of_run
from wrapper.planning import disk, preflight, trainer
from wrapper.planning.disk import Written
from wrapper.planning.job import Plan
from wrapper.runs import known, manifest, runner
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import paths

_SHOWS_ADVICE = "`kohya-presets validate --advice` shows them"


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
    ignore: tuple[str, ...] = ()  # codes of rules to leave out
    keep: str | None = None  # as [run] of a preset has it
    full_size: bool = False  # of a rehearsal: the model has SDXL's true size
    samples: str | None = None  # a file of prompts, or "auto": from the captions
    spread: Spread = ALONE
    keep_steps: bool = False  # with several GPUs: as many steps as with one, and more images
    states: Path | None = None  # of the same training elsewhere: it goes on from the newest

    @property
    def folder(self) -> Path:
        """The run's folder, absolute: the trainer runs elsewhere."""
        return (self.runs / self.name).expanduser().resolve()

    @property
    def caption_extension(self) -> str:
        """How the names of caption files end."""
        return str(self.preset.dataset.get("caption_extension", ".txt"))


def images(request: Request, data: Path, talk: Talk) -> Collection:
    """Return the images and captions of a run, after all checks.

    Raises:
        ProblemsError: with everything at which sd-scripts would stop, or train without captions.
    """
    release = releases.DEFAULT if request.checkout else request.release
    return of_run.checked(request.preset, data, talk, release=release, ignore=request.ignore)


def validate(request: Request, talk: Talk) -> str | None:
    """Check the preset before anything is downloaded, and print the warnings.

    Returns of which sd-scripts the options were; None where that is not known before it is here.

    Raises:
        PresetError: with all errors of the preset.
    """
    expected = trainer.standin() if request.standin else None
    expected = expected or trainer.foreseen(request.release, request.checkout)
    if expected is None:
        return None
    _fit(request, expected, talk)
    return expected.options_of


def fitting(request: Request, checkout: Checkout, asked: str | None, talk: Talk) -> Checkout:
    """Return the checkout with the preset's patches, after the checks of the preset.

    `asked` is what `validate` returned: the same options are not asked again.

    Raises:
        ProblemsError: the preset does not fit it, or a user's checkout lacks a patch.
    """
    preset, subject = request.preset, f"{request.preset.name} on {checkout.name}"
    if checkout.options_of != asked:
        _fit(request, checkout, talk)
    checkout = trainer.with_patches(checkout, preset.patches, talk)
    stop_at(preflight.patches(preset, checkout), talk, subject)
    return checkout


def stop_at(problems: Iterable[Problem], talk: Talk, subject: str) -> None:
    """Print what does not stop a run, of advice only how to see it.

    Raises:
        ProblemsError: with all errors among them.
    """
    found = list(problems)
    if wrong := errors(found):
        raise ProblemsError(subject, wrong)
    talk.problems(found, advice=_SHOWS_ADVICE)


def with_room(
    request: Request, asked: str | None, base: Path, images: int, talk: Talk
) -> tuple[Request, list[Written]]:
    """Return the request with as many states of training as the disk has room for.

    With it, what the run will have on disk at its fullest. `asked` is what `validate` returned.
    """
    has, header = disk.free(request.folder), weights.read(base)
    additions = registry.additions(paths.user_patches())

    def written(preset: Preset) -> list[Written]:
        known = settings.of_preset(
            preset,
            asked or releases.DEFAULT,
            additions,
            images=images,
            processes=request.spread.processes,
        )
        return disk.plan(preset, known, header)

    def room(preset: Preset) -> bool:
        return disk.total(written(preset)) <= has

    preset, said = disk.fewer_states(request.preset, room)
    if said:
        talk.warn(said)
    return replace(request, preset=preset), written(preset)


def training(preset: Preset, checkout: Checkout) -> Training:
    """Return what a preset trains on a checkout."""
    return settings_of(preset, checkout).training


def settings_of(preset: Preset, checkout: Checkout) -> Settings:
    """Return the settings of a preset on a checkout."""
    additions = registry.additions(paths.user_patches())
    return settings.of_preset(preset, checkout.options_of, additions)


def started(
    request: Request,
    kind: manifest.Kind,
    preset: Preset,
    checkout: Checkout,
    plan: Plan,
    facts: Mapping[str, Mapping[str, object]],
) -> Run:
    """Return the run of `plan`, with its folder created."""
    both = all(training(preset, checkout).text_encoders)
    run = Run(
        request.folder, kind, preset.name, request.name, plan.stages, both, facts, keeps=plan.keeps
    )
    known.remember(run)
    return runner.start(run, plan.files, states=request.states)


def _fit(request: Request, checkout: Checkout, talk: Talk) -> None:
    found = list(
        preflight.fit(request.preset, checkout, ignore=request.ignore, spread=request.spread)
    )
    if wrong := errors(found):
        raise PresetError(f"{request.preset.name} on {checkout.name}", wrong)
    talk.problems(found, advice=_SHOWS_ADVICE)
