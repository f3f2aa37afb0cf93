"""Find every problem of a preset, or of sd-scripts' own files, for one release.

First each setting alone (`each_setting`), then their combinations (`rules`).
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.files import configs
from kohya_presets.files.configs import ConfigFile, Part
from kohya_presets.memory import estimate
from kohya_presets.memory.estimate import Estimate
from kohya_presets.presets import inherit
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.inherit import Laid
from kohya_presets.presets.preset import SETTINGS, Preset, Table, place
from kohya_presets.problems import Place, Problem, errors
from kohya_presets.sdscripts import releases
from kohya_presets.sdscripts.additions import NONE, Additions
from kohya_presets.sdscripts.options import nearest_release
from kohya_presets.sdscripts.scripts import TRAINERS
from kohya_presets.toml import source as toml_source
from kohya_presets.toml.source import Key
from kohya_presets.training import settings
from kohya_presets.training.settings import IMAGES, Settings
from kohya_presets.validate import each_setting, rules, silence

NOT_SETTINGS = frozenset({"config_file", "output_config"})


@dataclass(frozen=True)
class Report:
    """The problems of one subject. `settings` has the settings of a run, if they are known."""

    subject: str
    release: str
    problems: tuple[Problem, ...]
    settings: Settings | None = None
    preset: Preset | None = None
    memory: Estimate | None = None  # of the GPU; None if there are errors

    @property
    def has_errors(self) -> bool:
        """Whether a run must not start."""
        return bool(errors(self.problems))


@dataclass(frozen=True)
class Against:
    """What to validate against: a release or commit of `options.releases()`, and its patches.

    `additions` says what patches add.

    `ignore` are codes of rules to skip, `images` is the number of training images, `gpu_gib` the
    memory of this machine's GPU, if it has one.
    """

    release: str
    patches: tuple[str, ...] = ()
    additions: Additions = NONE
    ignore: frozenset[str] = frozenset()
    images: int = IMAGES
    gpu_gib: float | None = None


def preset(
    name: str, presets: Catalogue, against: Against, *, overrides: Sequence[str] = ()
) -> Report:
    """Return what is wrong with the preset called `name`.

    Raises:
        UserError: there is none.
    """
    found = inherit.inspect(presets.find(name), find=presets.find, overrides=overrides)
    problems = list(found.problems)
    if found.preset is None or found.is_jumbled:
        problems += [] if found.is_jumbled else _settings_alone(found, against)
        return Report(name, against.release, tuple(problems))
    report = loaded(found.preset, against)
    reported = {problem.where.key for problem in problems}
    rest = [problem for problem in report.problems if problem.where.key not in reported]
    size = None if errors(problems) else report.memory
    return replace(report, problems=(*problems, *rest), memory=size)


def loaded(made: Preset, against: Against) -> Report:
    """Return what is wrong with a preset that was read without errors."""
    found = settings.of_preset(
        made, against.release, against.additions, carried=against.patches, images=against.images
    )
    problems = [*each_setting.of_preset(found)]
    if made.script in TRAINERS:  # otherwise no option is known, which is reported
        problems += rules.check(found)
    size = _memory(found, problems)
    problems += estimate.problems(made, found, against.gpu_gib, size) if size else []
    ignore = against.ignore | set(made.silence)
    kept = (*_release(made, against.release), *silence.of_preset(made), *_kept(problems, ignore))
    return Report(made.name, against.release, kept, found, made, size)


def file(path: Path, against: Against, *, script: str = "sdxl_train.py") -> Report:
    """Return what is wrong with a config of sd-scripts, training or dataset.

    The dataset config that a training config names is checked too, if it exists.

    Raises:
        UserError: there is no such file.
    """
    config = configs.read(path)
    if config.is_unreadable:  # to list what is missing would not help
        return Report(str(path), against.release, _kept(config.problems, against.ignore))
    if config.kind == "dataset":
        problems = [*config.problems, *_dataset(config, against)]
        found = _settings(None, config, against, script)
    else:
        dataset = _named(config)
        problems = [*config.problems, *(dataset.problems if dataset else ())]
        if dataset and dataset.is_unreadable:
            dataset = None  # as if it did not exist
        found = _settings(config, dataset, against, script)
        problems += _training(config, found[0])
        problems += _dataset(dataset, against) if dataset else ()
    problems += [problem for settings in found for problem in rules.check(settings)]
    size = _memory(found[0], problems) if found[0].is_whole else None
    kept = _kept(problems, against.ignore)
    return Report(str(path), against.release, kept, found[0], memory=size)


def is_preset(path: Path) -> bool:
    """Return whether a TOML file is a preset, and not one of sd-scripts' own files."""
    values = toml_source.read(path).values
    return "schema" in values or "preset" in values


def _settings_alone(found: Laid, against: Against) -> Iterator[Problem]:
    """Yield what is wrong with each setting of a preset whose [preset] is not complete."""
    header = found.tables["preset"]
    script, patches = header.get("script"), header.get("patches", [])
    listed = isinstance(patches, list) and all(isinstance(name, str) for name in patches)
    if not listed or (not found.is_whole and "patches" not in header):
        patches = against.additions.names  # the unread part may allow an unknown option
    alone = Settings(
        {name: table for name, table in found.tables.items() if name in SETTINGS},
        script if isinstance(script, str) else "",  # with an unknown script, no option is unknown
        against.release,
        tuple(patches),
        against.additions,
        functools.partial(place, found.sources, None),
    )
    yield from each_setting.of_preset(alone)


def _release(made: Preset, release: str) -> Iterator[Problem]:
    if not releases.satisfies(nearest_release(release), made.releases):
        message = f"preset {made.name!r} needs sd-scripts {made.releases}, but this is {release}"
        where = made.place("preset", "releases")
        yield Problem("release", "error", where, message, "Use another --release or --checkout.")


def _memory(settings: Settings, problems: Sequence[Problem]) -> Estimate | None:
    """Return the GPU memory of the training; None if it is unknown, or the run will not start."""
    return None if errors(problems) else estimate.of(settings)


def _kept(problems: Iterable[Problem], ignore: Collection[str]) -> tuple[Problem, ...]:
    kept = (p for p in problems if p.code not in ignore or p.code not in silence.CODES)
    return tuple(dict.fromkeys(kept))


def _settings(
    train: ConfigFile | None, dataset: ConfigFile | None, against: Against, script: str
) -> list[Settings]:
    """Return the settings of each subset; one for all, if there is no dataset file."""
    options = configs.options(train) if train else {}
    subsets = list(configs.combined(dataset)) if dataset else []
    return [
        Settings(
            _tables(options if train else None, subset if dataset else {}),
            script,
            against.release,
            against.patches,
            against.additions,
            _Places(train, options, dataset, subset),
            kind="config",
            is_whole=train is not None and (dataset is not None or "dataset_config" not in options),
            images=against.images,
        )
        for subset in subsets or [{}]
    ]


def _tables(
    options: Mapping[str, tuple[Any, Key]] | None, subset: Mapping[str, tuple[Any, Key]]
) -> dict[str, Table]:
    tables: dict[str, Table] = {"dataset": {key: value for key, (value, _) in subset.items()}}
    if options is not None:
        tables["train"] = {key: value for key, (value, _) in options.items()}
    return tables


@dataclass(frozen=True)
class _Places:
    """Finds the line of a setting in one of the two files."""

    train: ConfigFile | None
    options: Mapping[str, tuple[Any, Key]]
    dataset: ConfigFile | None
    subset: Mapping[str, tuple[Any, Key]]

    def __call__(self, table: str, key: str) -> Place:
        """Return where it was written, or the file it is missing in."""
        config, known = self.train, self.options
        if table == "dataset":
            config, known = self.dataset or self.train, self.subset
        if config is None:
            return Place(key=key)
        return (
            config.place(*known[key][1], called=key)
            if key in known
            else Place(config.file, key=key)
        )


def _named(config: ConfigFile) -> ConfigFile | None:
    """Return the dataset config that a training config names, if it exists."""
    name, _ = configs.options(config).get("dataset_config", (None, ()))
    if not isinstance(name, str) or not name.endswith(".toml"):
        return None
    places = (config.file.parent / name, Path(name))
    there = next((path for path in places if path.is_file()), None)
    return configs.read(there) if there else None


def _training(config: ConfigFile, settings: Settings) -> Iterator[Problem]:
    for name, (value, _) in configs.options(config).items():
        if name not in NOT_SETTINGS:
            yield from each_setting.option(settings, "train", name, value)


def _dataset(config: ConfigFile, against: Against) -> Iterator[Problem]:
    for part in configs.parts(config):
        place = functools.partial(_in_part, config, part)
        settings = Settings({}, release=against.release, place=place, kind="config")
        for name in part.values:
            yield from each_setting.dataset_key(settings, part.level, part.values, name)
        if part.level == "subset":
            yield from each_setting.missing(against.release, part.values, config.place(*part.at))


def _in_part(config: ConfigFile, part: Part, _table: str, key: str) -> Place:
    return config.place(*part.at, key, called=key)
