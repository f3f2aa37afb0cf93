"""Check everything a run needs before it starts: an hour of a rented GPU is too late."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from kohya_presets.dataset import checks
from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Place, Problem, listed, plural
from kohya_presets.prompts import checks as prompts
from kohya_presets.sdscripts import scripts
from kohya_presets.training.spread import ALONE, Spread
from kohya_presets.validate import base as bases
from kohya_presets.validate import everything, silence
from kohya_presets.validate.report import Against
from patches import registry
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.data import named_files
from wrapper.environments import wanted
from wrapper.environments.environment import NEEDED, Probe
from wrapper.system import paths

OPTIMIZERS = ("optimizer_type", "use_8bit_adam", "use_lion_optimizer")


def fit(
    preset: Preset, checkout: Checkout, *, ignore: Collection[str] = (), spread: Spread = ALONE
) -> Iterator[Problem]:
    """Yield what the checkout does not support, and what the rules say about the settings.

    `spread` says how many GPUs train together.

    Raises:
        UserError: `ignore` has something that is the code of no rule and no check.
    """
    require_codes(ignore)
    yield from unknown_patches(preset)
    additions = registry.additions(paths.user_patches())
    against = Against(
        checkout.options_of, additions=additions, ignore=frozenset(ignore), spread=spread
    )
    yield from everything.loaded(preset, against).problems


def require_codes(ignore: Collection[str]) -> None:
    """Raise UserError if one of these is the code of no rule, and no check of images or prompts."""
    silence.require({*ignore} - checks.CODES - prompts.CODES)


def unknown_patches(preset: Preset) -> Iterator[Problem]:
    """Yield the patches that `preset` needs and that do not exist."""
    for name in preset.patches:
        try:
            registry.find(name, paths.user_patches())
        except UserError as error:
            where = preset.place("preset", "patches")
            yield Problem("unknown-patch", "error", where, str(error), error.hint)


def patches(preset: Preset, checkout: Checkout) -> Iterator[Problem]:
    """Yield the patches that `preset` needs and whose current version is not in the checkout."""
    command = patchwork.command(preset.patches, f'"{checkout.folder}"')
    hint = f"Run `{command}`. A run never changes your own folder."
    needed = [registry.find(name, paths.user_patches()) for name in preset.patches]
    found = [patchwork.status(checkout, patch) for patch in needed]
    if absent := [status.patch for status in found if status.state == "absent"]:
        several = len(absent) > 1
        which = (
            f"patch{'es' if several else ''} {listed(absent)}, which {'are' if several else 'is'}"
        )
        message = f"{preset.name} needs the {which} not applied in {checkout.folder}"
        yield Problem("patch", "error", Place(preset.file), message, hint)
    for status in found:
        if status.state not in ("applied", "absent"):
            fits = status.state != "does not fit"
            fault = f"is {status.state}" if fits else status.state
            message = (
                f"{preset.name} needs the patch {status.patch}: in {checkout.folder} it {fault}"
            )
            message += f": {status.why}" if status.why else ""
            other = hint if fits else "Use another release of sd-scripts."
            yield Problem("patch", "error", Place(preset.file), message, other)


def model(preset: Preset, base: Path, *, ignore: Collection[str] = ()) -> Iterator[Problem]:
    """Yield what is wrong with the base model, and with training it as the preset says."""
    try:
        header = weights.require(base, scripts.TRAINERS[preset.script].bases)
    except UserError as error:
        yield Problem("base", "error", Place(), str(error), error.hint)
        return
    left_out = {*ignore, *preset.silence}
    found = bases.problems(header, preset.script, preset.train)
    yield from (p for p in found if p.code not in left_out or p.code not in bases.CODES)


def parts(preset: Preset) -> Iterator[Problem]:
    """Yield the files and folders beside the base model that are not there."""
    for option in scripts.TRAINERS[preset.script].needs:
        file = preset.train.get(option)
        if not isinstance(file, str) or not Path(file).expanduser().is_file():
            fault = f"{file} does not exist" if file else "it is not set"
            message = f"{preset.script} needs the file {option}, but {fault}"
            hint = f"Add --set train.{option}=FILE, with the full path of the file."
            yield Problem("part", "error", Place(preset.file), message, hint)
    yield from named_files.problems(preset)


def modules(preset: Preset) -> list[str]:
    """Return what a probe of the trainer environment shall import for `preset`."""
    return [wish.module for wish in wanted.by(preset.train)]


def environment(
    preset: Preset,
    probe: Probe,
    *,
    cpu: bool,
    python: Path = Path("python"),
    spread: Spread = ALONE,
) -> Iterator[Problem]:
    """Yield what the trainer environment lacks for `preset`; with `cpu`, no GPU is needed.

    `python` is the program that it is installed with, `spread` how many GPUs train together.
    """
    where = Place()
    ignored = {"torchvision"} if cpu else set()  # the rehearsal repairs that one itself
    for package in (*NEEDED, "torchvision"):
        if package in probe.broken and package not in ignored:
            message = f"Python cannot import {package}: {probe.broken[package]}"
            yield Problem("broken-package", "error", where, message, "Run `kohya-presets doctor`.")
    for wish in wanted.by(preset.train):
        if wish.module in probe.broken:
            name = wish.package or wish.module.replace(":", ".")
            message = f"{wish.setting} needs {name}: {probe.broken[wish.module]}"
            hint = "Check the name, or install its package in the trainer environment."
            if wish.package:
                hint = f'Run `"{python}" -m pip install {name}`.'
            code = "optimizer-package" if wish.option in OPTIMIZERS else "package"
            yield Problem(code, "error", where, message, hint)
    if preset.train.get("xformers") and "xformers" in probe.broken:
        hint = "Use --set train.xformers=false --set train.sdpa=true: sdpa is a part of torch."
        yield Problem("xformers", "error", where, "xformers is not installed", hint)
    if not cpu:
        yield from _gpu(preset, probe)
        if 0 < len(probe.devices) < spread.gpus:
            message = f"--gpus {spread.gpus}: torch finds {plural(len(probe.devices), 'GPU')} here"
            hint = f"Use --gpus {len(probe.devices)}, or another machine."
            yield Problem("gpus", "error", where, message, hint)


def _gpu(preset: Preset, probe: Probe) -> Iterator[Problem]:
    if not probe.devices:
        built = f"built for CUDA {probe.cuda}" if probe.cuda else "built without CUDA"
        message = f"torch {probe.packages.get('torch')} ({built}) finds no GPU"
        hint = "Run `kohya-presets doctor`. Without a GPU, use `kohya-presets rehearse PRESET`."
        mixed = preset.train.get("mixed_precision", "no")
        yield Problem("no-gpu", "error" if mixed != "no" else "warning", Place(), message, hint)
        return
    device = probe.devices[0]
    size = device.memory_gib
    if preset.vram_gib and size is not None and size < 0.95 * preset.vram_gib - 1:
        message = (
            f"{preset.name} is meant for {preset.vram_gib:g} GB of GPU memory, "
            f"but {device.name} has {size:g} GiB"
        )
        hint = "GPU memory will probably run out. Choose a smaller preset: `kohya-presets list`."
        yield Problem("vram", "warning", Place(), message, hint)
