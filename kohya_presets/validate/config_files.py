"""Find every problem of sd-scripts' own files, for one release.

A training config and its dataset config are one subject: sd-scripts takes from the first what the
second leaves open. Each of them alone is a part; what a part leaves open is no error, since the
other one, or the command line, may say it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from kohya_presets.files import configs, named, other_tools, recognized
from kohya_presets.files.configs import DATA, ConfigFile, Part
from kohya_presets.files.named import Named
from kohya_presets.presets.preset import Table
from kohya_presets.problems import Place, Problem, listed
from kohya_presets.sdscripts import options, scripts
from kohya_presets.toml import source as toml_source
from kohya_presets.toml.source import Key
from kohya_presets.training.settings import Settings
from kohya_presets.validate import each_setting, folders, report, rules, subset_kinds
from kohya_presets.validate.report import Against, Report
from kohya_presets.validate.rules.silent.training import LENGTH
from kohya_presets.validate.rules.stops.files import SAMPLES

NOT_SETTINGS = frozenset({"config_file", "output_config"})


def is_preset(path: Path) -> bool:
    """Return whether a TOML file is a preset, and not one of sd-scripts' own files."""
    values = toml_source.read(path).values
    return "schema" in values or "preset" in values


def file(path: Path, against: Against, *, script: str | None = None) -> Report:
    """Return what is wrong with a config of sd-scripts, training or dataset.

    The dataset config that a training config names is checked too, if it exists.

    Raises:
        UserError: there is no such file.
    """
    (found,) = together([path], against, script=script)
    return found


def together(
    paths: Sequence[Path], against: Against, *, script: str | None = None
) -> tuple[Report, ...]:
    """Return a report on each of these files; of a training config and its dataset config, one.

    A dataset config belongs to the training config that names it, or to the only one given, if that
    has no images of its own. Without `script`, a training config is recognized.

    Raises:
        UserError: one of the files does not exist.
    """
    read = [configs.read(path) for path in dict.fromkeys(paths)]
    pairs = _pairs(read)
    taken = [
        d.file.resolve() for file, d in pairs.items() if d and d.file.resolve() != file.resolve()
    ]
    alone = (config for config in read if config.file.resolve() not in taken)
    return tuple(_report(config, pairs.get(config.file), against, script) for config in alone)


def _pairs(read: Sequence[ConfigFile]) -> dict[Path, ConfigFile | None]:
    """Return the dataset config of each training config, None where it has none that exists."""
    given = [config for config in read if config.kind == "dataset"]
    trains = [config for config in read if config.kind == "config"]
    pairs = {config.file: _named(config, given) for config in trains}
    free = [config for config in given if config not in pairs.values()]
    if len(trains) == len(free) == 1 and pairs[trains[0].file] is None:
        said = configs.options(trains[0])
        if not any(key in said for key in DATA[1:]):
            return {trains[0].file: free[0]}
    return pairs


def _report(
    config: ConfigFile, dataset: ConfigFile | None, against: Against, script: str | None
) -> Report:
    subject = ", ".join(str(c.file) for c in (config, dataset) if c)
    if wrong := _unusable(config):
        return Report(subject, against.release, report.without(against.ignore, wrong))
    problems = [*config.problems, *(dataset.problems if dataset else ())]
    if dataset and dataset.is_unreadable:
        dataset = None  # as if it did not exist
    taken_for = None
    if script is None and config.kind == "config":
        taken_for = recognized.script(config, dataset or config)
    chosen = script or (taken_for.script if taken_for else "")
    if chosen and not options.of(chosen, against.release):
        problems.append(_no_script(config, chosen, against.release))
        return Report(subject, against.release, tuple(problems), taken_for=taken_for)
    if config.kind == "dataset":
        problems += _dataset(config, against)
        found = _settings(None, config, against, chosen)
    else:
        assumed = taken_for is not None and report.assumes_model(taken_for)
        found = _settings(config, dataset, against, chosen, model_assumed=assumed)
        problems += [*_training(config, dataset, found[0]), *_left_open(config, dataset, found[0])]
        problems += _dataset(dataset, against) if dataset else ()
        problems += [*folders.check(found[0]), *subset_kinds.without_masks(dataset, found[0])]
    subsets = config if config.kind == "dataset" else dataset
    problems += subset_kinds.check(subsets, found[0]) if subsets else ()
    problems += [problem for one in found for problem in rules.check(one)]
    size = report.memory(found[0], problems) if found[0].is_whole else None
    kept = report.without(against.ignore, problems)
    numbers = configs.datasets(subsets) if subsets else ()
    return Report(
        subject,
        against.release,
        kept,
        found[0],
        memory=size,
        taken_for=taken_for,
        subsets=tuple(found),
        datasets=tuple(numbers),
        near=(subsets or config).file,
    )


def _unusable(config: ConfigFile) -> tuple[Problem, ...]:
    """Return why nothing else need be said of a file, or nothing."""
    if found := other_tools.fault(config.values):
        why, hint = found
        return (Problem("other-tool", "error", Place(config.file), f"this file {why}", hint),)
    return config.problems if config.is_unreadable else ()


def _no_script(config: ConfigFile, script: str, release: str) -> Problem:
    tags = options.releases_having(script)
    message = f"{script} came with {tags[0]}, this is {release}"
    hint = f"Use --release {tags[0]} or newer. If the file is for another script, give --script."
    return Problem("script-too-new", "error", Place(config.file), message, hint)


def _settings(
    train: ConfigFile | None,
    dataset: ConfigFile | None,
    against: Against,
    script: str,
    *,
    model_assumed: bool = False,
) -> list[Settings]:
    """Return the settings of each subset; one for all, if there is no dataset file."""
    said = configs.options(train) if train else {}
    subsets = list(configs.combined(dataset)) if dataset else []
    has_images = dataset is not None or ("dataset_config" not in said and _has(said, *DATA))
    return [
        Settings(
            _tables(said if train else None, subset if dataset else {}),
            script,
            against.release,
            against.patches,
            against.additions,
            _Places(train, said, dataset, subset),
            kind="config",
            is_whole=train is not None and has_images,
            model_assumed=model_assumed,
            images=against.images,
        )
        for subset in subsets or [{}]
    ]


def _has(said: Mapping[str, tuple[Any, Key]], *keys: str) -> bool:
    return any(said[key][0] not in (None, "") for key in keys if key in said)


def _tables(
    said: Mapping[str, tuple[Any, Key]] | None, subset: Mapping[str, tuple[Any, Key]]
) -> dict[str, Table]:
    tables: dict[str, Table] = {"dataset": {key: value for key, (value, _) in subset.items()}}
    if said is not None:
        tables["train"] = {key: value for key, (value, _) in said.items()}
    return tables


@dataclass(frozen=True)
class _Places:
    """Finds the line of a setting in one of the two files."""

    train: ConfigFile | None
    said: Mapping[str, tuple[Any, Key]]
    dataset: ConfigFile | None
    subset: Mapping[str, tuple[Any, Key]]

    def __call__(self, table: str, key: str) -> Place:
        """Return where it was written, or the file it is missing in."""
        config, known = self.train, self.said
        if table == "dataset":
            config, known = self.dataset or self.train, self.subset
        if config is None:
            return Place(key=key)
        return (
            config.place(*known[key][1], called=key)
            if key in known
            else Place(config.file, key=key)
        )


def _named(config: ConfigFile, given: Sequence[ConfigFile]) -> ConfigFile | None:
    """Return the dataset config that a training config names, if it exists or was given."""
    name, _ = configs.options(config).get("dataset_config", (None, ()))
    if not isinstance(name, str) or not name.endswith(".toml"):
        return None
    if there := named.find(config.file, name):
        same = (c for c in given if c.file.resolve() == there.file.resolve())
        return next(same, None) or configs.read(there.file, is_dataset=True)
    called = PureWindowsPath(name).name  # knows both kinds of slashes
    return next((c for c in given if c.file.name == called), None)


def _training(
    config: ConfigFile, dataset: ConfigFile | None, settings: Settings
) -> Iterator[Problem]:
    said = configs.options(config)
    for name, (value, _) in said.items():
        if name not in NOT_SETTINGS:
            yield from each_setting.option(settings, "train", name, value)
    name, _ = said.get("dataset_config", (None, ()))
    if isinstance(name, str) and name:
        yield from _place(name, named.find(config.file, name), dataset, settings)


def _place(
    name: str, there: Named | None, dataset: ConfigFile | None, s: Settings
) -> Iterator[Problem]:
    """Yield what must be so that sd-scripts finds the dataset config of this name."""
    if there and not there.start:
        return
    where = s.place("train", "dataset_config")
    if there:
        message = f"sd-scripts finds {name} only if it starts in {there.start}"
        yield Problem("dataset-config-place", "note", where, message)
    elif dataset:
        message = f"there is no {name} here; {dataset.file} was checked in its place"
        yield Problem("dataset-config-place", "note", where, message)
    else:
        message = f"there is no file {name}"
        hint = "Give its path from the folder in which sd-scripts starts, or its whole path."
        yield Problem("no-dataset-config", "error", where, message, hint)


def _left_open(config: ConfigFile, dataset: ConfigFile | None, s: Settings) -> Iterator[Problem]:
    """Yield a note of what must come from the command line, as most people have it."""
    said = configs.options(config)
    needs = scripts.TRAINERS[s.script].needs if s.script in scripts.TRAINERS else ()
    wanted = ("pretrained_model_name_or_path", *needs, "output_dir")
    left = [f"--{key}" for key in wanted if not _has(said, key)]
    if dataset and "dataset_config" not in said:
        left.append(f"--dataset_config {dataset.file}")
    elif not _has(said, *DATA):
        left.append("--dataset_config or --train_data_dir")
    elif s.is_whole and s.dataset("resolution") is None:
        left.append("--resolution")
    if any(s.given("train", key) for key in SAMPLES) and not _has(said, "sample_prompts"):
        left.append("--sample_prompts")
    if not _has(said, *LENGTH):
        left.append(f"--max_train_epochs (else it stops after {s.train(LENGTH[1])} steps)")
    if left:
        message = f"to be given on the command line: {listed(left)}"
        yield Problem("left-open", "note", Place(config.file), message)


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
