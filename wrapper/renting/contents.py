"""What a rented machine needs of a training, as the files of a pack; nothing of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kohya_presets import secrets
from kohya_presets.dataset import rendered
from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.files import render
from kohya_presets.presets import preset as preset_files
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Place, Problem, listed
from kohya_presets.renting import packed
from kohya_presets.renting.offer import Needs
from kohya_presets.toml import source as toml_source
from kohya_presets.training.spread import STEPS, Spread, of_preset
from patches import registry
from wrapper.data import base_model
from wrapper.planning import inputs, wishes
from wrapper.planning.request import Request
from wrapper.renting import foreseen, own_wheel, placed
from wrapper.runs import manifest
from wrapper.runs.kept import states
from wrapper.screen.talk import Talk
from wrapper.system import names, paths

CHANGES = "Send it another way, or leave the setting out: --set {}=unset."


@dataclass(frozen=True)
class Contents:
    """The files of a pack, by path: what is in them, or the file on this machine that is."""

    name: str
    preset: str
    release: str
    base: str
    data: str
    files: Mapping[str, Path | bytes]
    needs: Needs


@dataclass(frozen=True)
class Asked:
    """What a pack is made of: a preset and its images, as `train` takes them."""

    request: Request
    data: Path
    base: str
    with_base: bool = False  # carry the base model, if it is a file here
    state_of: Path | None = None  # the run whose newest state is carried too


def request(
    preset: Preset,
    name: str | None,
    release: str,
    *,
    ignore: tuple[str, ...] = (),
    keep: str | None = None,
    samples: str | None = None,
    spread: Spread | None = None,
) -> Request:
    """Return a training as another machine will be asked for it; its runs lie there, not here.

    Without `spread`, on as many GPUs as the preset says.
    """
    return Request(
        preset,
        name or preset.name,
        Path("runs"),
        release,
        ignore=ignore,
        keep=keep,
        samples=samples,
        spread=spread or of_preset(preset),
    )


def of_run(folder: Path, *, base: str | None, with_base: bool, with_state: bool = False) -> Asked:
    """Return what a run was started with: its preset, images, base model and seed.

    `with_state`: carry its newest state too.

    Raises:
        UserError: it is a rehearsal, its record is damaged, its images are gone, or its lengths in
            steps were divided for several GPUs.
    """
    run = manifest.read(folder)
    if run.kind != "train":
        raise UserError(f"{folder} is a rehearsal", hint="Give a run of `train`, or a preset.")
    preset = Catalogue(()).load(str(run.folder / packed.PRESET))
    seed = toml_source.read(run.folder / packed.CONFIG).values.get("seed")
    if seed is not None and "seed" not in preset.train:
        preset = replace(preset, train={**preset.train, "seed": seed})
    try:
        data, known = Path(str(run.facts["data"]["folder"])), run.facts["base"]
        reference = str(known["reference"])
        base = base or (reference if not base_model.is_path(reference) else str(known["file"]))
    except KeyError as error:
        raise UserError(f"{folder / manifest.NAME} is damaged: it has no {error}") from None
    own = of_preset(preset)
    spread = inputs.of(run).spread or own
    divided = [key for key in STEPS if key in preset.train]
    if spread.processes != own.processes and divided:
        raise UserError(
            f"{folder} trains on {spread}, so these were divided: {listed(divided)}",
            hint="Pack the preset that it was started with.",
        )
    asked = Request(_without_added(preset), run.name, run.folder.parent, run.release, spread=spread)
    return Asked(
        asked,
        data,
        base,
        with_base,
        run.folder if with_state else None,
    )


def _without_added(preset: Preset) -> Preset:
    """Return a run's preset without what `train` adds where it runs: states, by the clock."""
    patches = tuple(name for name in preset.patches if name != states.PATCH)
    usual = preset.train.get(wishes.EVERY) == wishes.STATE_EVERY_MINUTES
    train = {k: v for k, v in preset.train.items() if not (usual and k == wishes.EVERY)}
    return replace(preset, patches=patches, train=train)


def of(asked: Asked, talk: Talk) -> Contents:
    """Return the files of a pack, after the checks of `train`.

    Raises:
        PresetError: the preset has errors.
        ProblemsError: the images have some, or something would not be right on another machine.
        UserError: the base model cannot be had there.
    """
    request = asked.request
    found = foreseen.of(request, asked.data, talk)
    preset = replace(found.preset, patches=request.preset.patches)
    preset = _as_asked(request.preset, preset)
    patches = _own_patches(preset)
    wrong = [*_of_this_machine(preset), *_of_patches(patches), *placed.problems(found.images)]
    if wrong:
        raise ProblemsError(f"{preset.name} cannot be packed", wrong)
    base, carried = _base(asked)
    name = names.usable(request.name)
    there = placed.of(found.images)
    is_config = asked.data.suffix == ".toml" and asked.data.is_file()
    where = render.Paths(
        data=asked.data.expanduser().resolve(),
        base=PurePosixPath(base),
        output=Path("output"),
        name=name,
        dataset_config=Path(packed.DATASET),
    )
    files: dict[str, Path | bytes] = {
        packed.PRESET: preset_files.to_toml(preset).encode("utf-8"),
        packed.CONFIG: render.config(preset, where).encode("utf-8"),
        packed.DATASET: there.rewritten(rendered.text(preset, where)).encode("utf-8"),
        f"{packed.TOOL}/{own_wheel.file_name()}": own_wheel.content(),
        **there.files,
        **patches,
        **(_state(asked.state_of) if asked.state_of else {}),
        **carried,
    }
    if preset.prompts:
        files[packed.PROMPTS] = "".join(f"{line}\n" for line in preset.prompts).encode("utf-8")
    _require_no_path({p: d for p, d in files.items() if not p.startswith(f"{packed.TOOL}/")})
    data = packed.DATASET if is_config else packed.DATA
    return Contents(name, preset.name, request.release, base, data, files, found.needs)


def _as_asked(asked: Preset, planned: Preset) -> Preset:
    """Return the planned preset without what `train` adds where it runs, or divides there.

    The lengths in steps and the number of GPUs that they are meant for belong together.
    """
    train = {key: value for key, value in planned.train.items() if key in asked.train}
    train |= {key: asked.train[key] for key in STEPS if key in asked.train}
    run = {key: value for key, value in (planned.run or {}).items() if key != "gpus"}
    run |= {key: value for key, value in (asked.run or {}).items() if key == "gpus"}
    return replace(planned, train=train, run=run or None)


def _of_this_machine(preset: Preset) -> Iterator[Problem]:
    """Yield the settings that name a file of this machine, or hold a secret."""
    for table, values in preset.tables.items():
        hidden = {*secrets.settings(values)}
        for key, value in values.items():
            where, hint = preset.place(table, key), CHANGES.format(f"{table}.{key}")
            if key in hidden:
                message = "it holds a secret, which is never packed"
                yield Problem("pack-secret", "error", where, message, hint)
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and _is_local(one):
                    message = f"it names {one}, which is on this computer and not in the pack"
                    yield Problem("pack-path", "error", where, message, hint)


def _is_local(value: str) -> bool:
    path = Path(value)
    return path.is_absolute() or value.startswith("~") or (path.suffix != "" and path.is_file())


def _own_patches(preset: Preset) -> dict[str, Path]:
    """Return the files of the user's own patches, by their path in the pack."""
    found: dict[str, Path] = {}
    for name in preset.patches:
        patch = registry.find(name, paths.user_patches())
        if patch.folder.parent != registry.SHIPPED:
            for file in patch.files:
                inside = file.relative_to(patch.folder).as_posix()
                found[f"{packed.PATCHES}/{patch.folder.name}/{inside}"] = file
    return found


def _of_patches(files: Mapping[str, Path]) -> Iterator[Problem]:
    for path, file in files.items():
        if secrets.holds(file.read_text(encoding="utf-8", errors="replace")):
            message = "it looks as if it held a token or a password"
            yield Problem("pack-secret", "error", Place(file), message)
        if fault := packed.fault(path):
            yield Problem("pack-name", "error", Place(file), f"its name: {fault}", "Rename it.")


def _state(folder: Path) -> dict[str, Path]:
    """Return the files of a run's newest state, by their path in the pack.

    Raises:
        UserError: the run has none.
    """
    newest = states.newest(folder)
    if newest is None:
        raise UserError(
            f"{folder} has no whole state of training",
            hint="Leave out --with-state: then the other machine trains from the beginning.",
        )
    at = newest.folder
    files = (file for file in sorted(at.rglob("*")) if file.is_file())
    return {f"{packed.STATES}/{at.name}/{f.relative_to(at).as_posix()}": f for f in files}


def _base(asked: Asked) -> tuple[str, dict[str, Path | bytes]]:
    """Return what the base model is called there, and its file if it is carried."""
    file = Path(asked.base).expanduser()
    if not base_model.is_path(asked.base) and not file.is_file():
        return asked.base, {}
    if not file.is_file():
        raise UserError(f"the base model {asked.base} does not exist", hint="Check the path.")
    if not asked.with_base:
        raise UserError(
            f"the base model {file.name} is a file on this computer, which the other machine "
            "does not have",
            hint="Name it as it is on Hugging Face (--base OWNER/REPO or OWNER/REPO/FILE): that is "
            "faster. Or add --with-base to send the file.",
        )
    path = f"{packed.BASE}/{names.usable(file.name)}"
    return path, {path: file.resolve()}


def _require_no_path(files: Mapping[str, Path | bytes]) -> None:
    """Raise UserError if one of the texts, or a patch, names the user's home."""
    home = str(Path.home())
    for path, data in files.items():
        if isinstance(data, Path) and path.startswith(f"{packed.PATCHES}/"):
            data = data.read_bytes()
        if len(home) > 1 and isinstance(data, bytes) and home.encode("utf-8") in data:
            hint = "Take the path out: of a preset's settings, summary and provenance, or the file."
            raise UserError(f"{path} would name your home folder, {home}", hint=hint)
