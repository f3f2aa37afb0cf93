"""What a run gets beside its preset: states, LoRAs of its checkpoints, pictures on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem
from kohya_presets.prompts import lines, made
from kohya_presets.prompts.lines import Prompt
from kohya_presets.sdscripts import releases, scripts
from kohya_presets.training import settings, spread
from patches import registry
from patches.registry import Patch
from wrapper.checkouts import checkout as checkouts
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.data import of_run, prompt_file
from wrapper.planning.request import Request
from wrapper.rehearsal import pictures
from wrapper.runs.kept import states
from wrapper.screen.talk import Talk
from wrapper.system import paths

EVERY, STATE_EVERY_MINUTES = "state_every_minutes", 20.0  # what a killed run loses at most
NOT_WITH_STATES = ("fused_optimizer_groups", "deepspeed")  # the patch refuses these options
FAST_LORA = "fast-lora"
AUTO = "auto"
_LAST = ("save_last_n_epochs", "save_last_n_steps")
_EVERY = ("save_every_n_epochs", "save_every_n_steps")


def granted(request: Request, talk: Talk | None, *, data: Path | None) -> Request:
    """Return the request with all that it gets beside its preset; `data` are the images.

    Without `talk`, nothing is said about states: a rehearsal is over before one is saved.

    Raises:
        UserError: prompts cannot be read.
        ProblemsError: LoRAs of checkpoints are asked for that there will not be.
    """
    request = _with_samples(_spread(request, talk), talk, data)
    return _with_states(_with_keep(request), talk)


def without(request: Request, wanted: Preset) -> Request:
    """Return the request for the stand-in: without patches that its preset has not asked for.

    They are made for sd-scripts. `wanted` is the preset as it was asked for.
    """
    patches = tuple(name for name in request.preset.patches if name in wanted.patches)
    return replace(request, preset=replace(request.preset, patches=patches))


def settled(preset: Preset) -> Preset:
    """Return the preset with what a run of ours sets where the preset says nothing."""
    if states.PATCH not in preset.patches or EVERY in preset.train:
        return preset
    return replace(preset, train={**preset.train, EVERY: STATE_EVERY_MINUTES})


def _spread(request: Request, talk: Talk | None) -> Request:
    """Return the request with as many images seen by several GPUs as by one, unless not wanted."""
    preset, changed = spread.converted(
        request.preset, request.spread.processes, keep_steps=request.keep_steps
    )
    request = replace(request, preset=preset)
    if talk is not None:
        additions = registry.additions(paths.user_patches())
        processes = request.spread.processes
        known = settings.of_preset(request.preset, releases.DEFAULT, additions, processes=processes)
        for line in spread.texts(known, request.spread, changed):
            talk.say(line)
    return request


def _with_samples(request: Request, talk: Talk | None, data: Path | None) -> Request:
    if request.samples is None:
        return request
    if request.samples == AUTO:
        prompts = [one.line() for one in _from_captions(request.preset, data)]
    else:
        prompts = _from_file(Path(request.samples).expanduser(), request.release, talk)
    return replace(request, preset=replace(request.preset, samples={"prompts": prompts}))


def _from_file(file: Path, release: str, talk: Talk | None) -> list[str]:
    text = prompt_file.read(file, release, talk)
    prompts = [line.strip() for line in text.splitlines() if lines.is_read(line)]
    if not prompts:
        raise UserError(f"{file} has no prompts", hint="Write one prompt on each line.")
    return prompts


def _from_captions(preset: Preset, data: Path | None) -> list[Prompt]:
    """Return a small set of prompts by the guide's way; a rehearsal without images draws its own.

    Raises:
        UserError: there are no captions.
    """
    if data is None:
        several = pictures.captions()
    else:
        subsets = of_run.of(preset, data, releases.DEFAULT) if data.exists() else ()
        several = [*of_run.captions(subsets).values()]
    if not several:
        raise UserError(
            "--samples auto takes prompts from captions, but there are none",
            hint="Give a file with one prompt on each line: --samples FILE.",
        )
    return made.few(several, made.trigger_of(several), made.of_size(preset.dataset))


def _with_keep(request: Request) -> Request:
    preset = request.preset
    if request.keep is not None:
        preset = replace(preset, run={**(preset.run or {}), "keep": request.keep})
    if preset.keep == "loras":
        if wrong := [*_no_loras(preset)]:
            raise ProblemsError(f'{preset.name} with keep = "loras"', wrong)
        if request.checkout is None and not request.standin:
            preset = _patched(preset, FAST_LORA)
    return replace(request, preset=preset)


def _no_loras(preset: Preset) -> Iterator[Problem]:
    """Yield why there would be no LoRAs of checkpoints, or not of all."""

    def problem(table: str, key: str, message: str, hint: str) -> Problem:
        return Problem("keep-loras", "error", preset.place(table, key), message, hint)

    if scripts.makes_lora(preset.script):
        hint = "Leave keep out: what training saves on the way are LoRAs."
        yield problem("run", "keep", f"{preset.script} trains a LoRA itself", hint)
    elif preset.extract is None:
        yield problem("run", "keep", "the preset extracts no LoRA", "Add a table [extract].")
    elif isinstance(preset.extract.get("dim"), list):
        hint = "Use --set extract.dim=N."
        yield problem("extract", "dim", "a checkpoint can become one LoRA only", hint)
    if not any(preset.train.get(key) for key in _EVERY):
        message = "no models are saved on the way, so there are no LoRAs of them"
        yield problem("run", "keep", message, "Use --set train.save_every_n_epochs=N.")
    for key in _LAST:
        if preset.train.get(key):
            message = f"{key} deletes checkpoints before their LoRAs are extracted"
            yield problem("train", key, message, f"Use --set train.{key}=unset.")


def _with_states(request: Request, talk: Talk | None) -> Request:
    """Return the request with the patch that saves states, where the run can have it.

    A user's own folder is never patched: it has the patch, or the run does without.
    """
    patch, preset = registry.find(states.PATCH, paths.user_patches()), request.preset
    known = {option.name: scripts for option, scripts in patch.addition.options}
    if request.full_size:  # a state of it is 20 GB
        return request
    if request.spread.machines > 1:  # machine 0 saves it, and the others could not go on from it
        if talk is not None:
            talk.say("several machines: no states are saved; if one is lost, training starts again")
        return request
    if request.standin or preset.script not in known["state_every_minutes"]:
        return request
    if refused := next((x for x in NOT_WITH_STATES if preset.train.get(x)), None):
        if talk is not None:
            talk.say(f"{refused}: no states are saved; if training is killed, it starts again")
        return request
    if request.checkout and not _carries(checkouts.open_folder(request.checkout), patch):
        command = patchwork.command([states.PATCH], f'"{request.checkout}"')
        if talk is not None:
            talk.say(
                f"{request.checkout} has no patch {states.PATCH}: if training is killed, it starts "
                f"again from the beginning. `{command}` adds the patch."
            )
        return request
    return replace(request, preset=_patched(preset, states.PATCH))


def _patched(preset: Preset, patch: str) -> Preset:
    return replace(preset, patches=tuple(dict.fromkeys((*preset.patches, patch))))


def _carries(found: Checkout, patch: Patch) -> bool:
    return found.is_standin is False and patchwork.status(found, patch).state == "applied"
