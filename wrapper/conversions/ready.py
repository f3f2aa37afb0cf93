"""From what `extract` or `resize` asks for to jobs that can start: all checks come first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.loras.summary import Lora
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.problems import Place, Problem, errors, listed, plural
from kohya_presets.sdscripts.scripts import TOOLS
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.conversions import outputs, table
from wrapper.conversions.carry_out import Job
from wrapper.conversions.outputs import Wanted
from wrapper.data import base_model
from wrapper.environments import environment
from wrapper.extraction import inputs, tool, verify
from wrapper.extraction.tool import Site
from wrapper.planning import disk, preflight, trainer
from wrapper.rehearsal import adapt
from wrapper.screen.talk import Talk
from wrapper.system import sizes
from wrapper.system.launch import Launch

FAST = "fast-lora"
# Whose table is used where the user names no preset: the guide's newest advice for an extraction,
# and its only one for resizing.
DEFAULTS = {"extract": "lion", "resize": "skynet"}
REPAIR = adapt.ROOM / "kp_torchvision.py"

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Request:
    """What a command line asks for; `in_front` is a script that is to run the real one."""

    preset: Preset
    is_default: bool  # the user named no preset
    sources: tuple[Path, ...]  # tuned models, or LoRAs
    out: Path
    release: str
    force: bool = False
    skip: bool = False  # leave out what has its LoRAs already
    checkout: Path | None = None
    python: str | None = None
    in_front: tuple[str, ...] = ()


def extractions(request: Request, base: str, talk: Talk) -> list[Job]:
    """Return a job for each tuned model; `base` is a file, or owner/repo[/file] on Hugging Face.

    Raises:
        UserError: a file, a setting or the machine does not fit. Nothing was written.
    """
    options = table.of(request.preset, "extract")
    ranks = table.ranks(options, "extract")
    ends = tuple(map(str, ranks))
    tuned = _each(request.sources, lambda file: inputs.model(file, "tuned model"))
    wanted = [Wanted(file, file.stem, ends) for file in request.sources]
    local = Path(base).expanduser()
    keep = (*request.sources, *((local,) if local.is_file() else ()))
    places = _places(request, wanted, keep, talk)
    _validate(request, "extract")
    if not any(places):
        return []
    original = inputs.model(base_model.find(base, on_step=talk.say).file, "base model")
    _each(tuned, partial(inputs.pair, original))
    width = disk.BYTES.get(options.get("save_precision", ""), 4)
    each = [disk.lora(original, rank) * width for rank in ranks]
    _require_room([size for files in places for size in each[: len(files)]], places)
    site = _site(request, "extract", options, talk)
    least = verify.min_diff(options)

    def launch(source: Path, out: Path, site: Site) -> Launch:
        return tool.of_checkpoint(original.file.absolute(), source, out, options, site)

    # Which parts were trained, no file says: what lacks one is told by whoever prints it.
    check = partial(verify.extracted, text_encoders=False, min_diff=least)
    return [
        _job("extract", want, files, launch, check, site, force=request.force)
        for want, files in zip(wanted, places, strict=True)
        if files
    ]


def resizings(request: Request, talk: Talk) -> list[Job]:
    """Return a job for each LoRA.

    Raises:
        UserError: a file, a setting or the machine does not fit. Nothing was written.
    """
    options = table.of(request.preset, "resize")
    (rank,) = table.ranks(options, "resize")
    found = _each(request.sources, inputs.lora)
    end = "dynamic" if options.get("dynamic_method") else str(rank)
    wanted = [Wanted(lora.file, _without_rank(lora), (end,)) for lora in found]
    places = _places(request, wanted, request.sources, talk)
    _validate(request, "resize")
    if not any(places):
        return []
    smaller = [(lora, files) for lora, files in zip(found, places, strict=True) if files]
    _require_room([lora.size * min(rank, lora.rank) // lora.rank for lora, _ in smaller], places)
    for lora, _ in smaller:
        if lora.rank <= rank:
            talk.warn(f"{lora.file.name} already has rank {lora.rank}: it will not get smaller")
    site = _site(request, "resize", options, talk)
    _each(request.sources, lambda file: inputs.names(file, site.scripts / TOOLS["resize"]))
    most = max(rank, options.get("new_conv_rank") or 0)

    def launch(source: Path, out: Path, site: Site) -> Launch:
        return tool.of_lora(source, out, options, site)

    return [
        _job(
            "resize",
            want,
            files,
            launch,
            partial(verify.resized, source=lora, rank=most),
            site,
            force=request.force,
        )
        for lora, want, files in zip(found, wanted, places, strict=True)
        if files
    ]


def _each(items: Iterable[_In], check: Callable[[_In], _Out]) -> list[_Out]:
    """Return what `check` returns for each.

    Raises:
        UserError: of one item; of several, all of them.
    """
    found, wrong = [], []
    for item in items:
        try:
            found.append(check(item))
        except UserError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        told = [Problem("input", "error", Place(), str(error), error.hint) for error in wrong]
        raise ProblemsError("the files cannot be used", told)
    return found


def _places(
    request: Request, wanted: Sequence[Wanted], keep: Sequence[Path], talk: Talk
) -> list[tuple[Path, ...]]:
    """Return the files to write for each input; none for one that is skipped."""
    found = outputs.places(request.out, wanted, keep)
    if request.skip:
        there = [all(file.is_file() for file in files) for files in found]
        for files in (files for files, skipped in zip(found, there, strict=True) if skipped):
            talk.say(f"{files[0].name} exists already: skipped")
        found = [() if skipped else files for files, skipped in zip(found, there, strict=True)]
    outputs.require_writable(found, force=request.force)
    return found


def _require_room(needed: Sequence[int], places: Sequence[Sequence[Path]]) -> None:
    """Raise UserError if the disk has no room for so many bytes."""
    folder = next(files[0].parent for files in places if files)
    total, free = sum(needed), disk.free(folder)
    if free < total:
        what = plural(len(needed), "LoRA")
        raise UserError(
            f"{what} would take about {sizes.said(total)}, but only {sizes.said(free)} are free",
            hint="Free some space, or choose another --out.",
        )


def _without_rank(lora: Lora) -> str:
    """Return the stem of a LoRA's name without its rank: korra-128 becomes korra-16."""
    return lora.file.stem.removesuffix(f"-{lora.rank}") or lora.file.stem


def _validate(request: Request, name: str) -> None:
    """Check the settings before anything is downloaded, as far as sd-scripts is known by now."""
    expected = trainer.foreseen(request.release, request.checkout)
    if expected is not None:
        ours = expected.is_ours
        there = _patches(request, name) if ours else table.carried(expected)
        table.require(request.preset, name, expected.options_of, there)


def _patches(request: Request, name: str) -> tuple[str, ...]:
    found = table.patches(request.preset, name)
    return (*found, FAST) if request.is_default and FAST not in found else found


def _site(request: Request, name: str, options: Table, talk: Talk) -> Site:
    """Return where the tool runs; its log and its mark are those of each job."""
    checkout = trainer.checkout_for(request.release, request.checkout, talk)
    patches = _patches(request, name)
    if checkout.is_ours:
        checkout = trainer.with_patches(checkout, patches, talk)
    there = table.carried(checkout)
    talk.problems(table.require(request.preset, name, checkout.options_of, there))
    if missing := [patch for patch in patches if patch not in there]:
        command = patchwork.command(missing, f'"{checkout.folder}"')
        talk.warn(
            f"{checkout.folder} lacks the patch {listed(missing)}: {name} takes much longer "
            f"without it. To add it, run `{command}`."
        )
    used = trainer.environment_for(checkout, request.python, talk)
    in_front, device = _machine(request, used.python, checkout)
    whose = f"the preset {request.preset.name}"
    whose += " (name another one, or use --set)" if request.is_default else ""
    talk.say(f"{name} with {checkout.name}, [{name}] of {whose}: {table.said(options)}")
    nowhere = Path()
    return Site(checkout.scripts, str(used.python), nowhere, nowhere, device, in_front)


def _machine(
    request: Request, python: Path, checkout: Checkout
) -> tuple[tuple[str, ...], str | None]:
    """Return what runs in front of the script, and the device; raise for what Python lacks."""
    probe = environment.probe(python)
    vision = probe.broken.get("torchvision", "")
    repaired = "torchvision::" in vision  # PyPI's, beside a CPU build of torch
    bare = replace(request.preset, train={}, vram_gib=None)
    lacks = errors(preflight.environment(bare, probe, cpu=repaired, python=python))
    if lacks:
        raise ProblemsError(f"{python} cannot run {checkout.name}", lacks)
    in_front = request.in_front or ((str(REPAIR),) if repaired else ())
    return in_front, "cuda" if probe.devices else None


def _job(
    name: str,
    want: Wanted,
    files: tuple[Path, ...],
    launch: Callable[[Path, Path, Site], Launch],
    check: Callable[[Path], Lora],
    site: Site,
    *,
    force: bool,
) -> Job:
    first = files[0]
    work = first.with_name(f".{first.name}.part")
    # The scripts take the name that a file has when it is made for the LoRA's title.
    others = (f"{first.stem}-dim{end}{first.suffix}" for end in want.ends[1:])
    made = tuple(work / name for name in (first.name, *others))
    here = replace(site, mark=work, log=work / f"{name}.log")
    planned = launch(want.source.absolute(), made[0], here)
    return Job(name, want.source, planned, work, made, files, check, force)
