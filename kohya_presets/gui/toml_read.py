"""Files of sd-scripts as a preset: a config, its dataset config, or both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kohya_presets.errors import PresetError, UserError
from kohya_presets.files import configs
from kohya_presets.files.configs import ConfigFile
from kohya_presets.gui import meaning
from kohya_presets.gui.read import Imported, slug
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import values
from kohya_presets.gui.versions.saved_file import LARGEST
from kohya_presets.presets.preset import PATHS, Preset
from kohya_presets.problems import errors, plural
from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.additions import Additions

_GUI_ONLY = ("config_file", "output_config", "noise_offset_type")


def toml_file(path: Path, name: str, additions: Additions) -> Imported:
    """Return the preset called `name` made from a file of sd-scripts.

    A dataset config that the file names is read too, if it exists.

    Raises:
        UserError: there is no such file, or it has no settings for a preset.
        PresetError: it cannot be read as TOML.
    """
    config = _read(path)
    report: list[Item] = []
    found: dict[str, Any] = {}
    dataset: ConfigFile | None = config
    if config.kind == "config":
        found = {key: value for key, (value, _) in configs.options(config).items()}
        dataset = _beside(path, found.get("dataset_config"), report)
    script = "sdxl_train_network.py" if "network_module" in found else "sdxl_train.py"
    train, own, told = _settings(found, script, additions)
    subset, more = _subset(dataset) if dataset else ({}, [])
    if not train and not own and not subset:
        raise UserError(f"{path} has no options of sd-scripts")
    preset = Preset(
        name=slug(name),
        title=name,
        summary=f"Imported from an sd-scripts config for {script}",
        script=script,
        releases=meaning.since(script, train, {**own, **subset}, additions),
        patches=meaning.patches(script, train, additions),
        train=train,
        dataset={**own, **subset},
    )
    return Imported(preset, f"a config for {script}", (*report, *told, *more))


def _read(path: Path) -> ConfigFile:
    if path.is_file() and (size := path.stat().st_size) > LARGEST:
        raise UserError(f"{path} is too large for a config: {size / 1e6:.1f} MB")
    try:
        config = configs.read(path)
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply for a config") from error
    if errors(config.problems):
        raise PresetError(str(path), config.problems)
    if "schema" in config.values or isinstance(config.values.get("preset"), dict):
        raise UserError(f"{path} is already a preset", hint="Copy it to your presets folder.")
    return config


def _beside(path: Path, named: Any, report: list[Item]) -> ConfigFile | None:
    """Return the dataset config that a config names, if it exists."""
    if not isinstance(named, str) or not named:
        return None
    there = [f for f in (path.parent / named, path.parent / Path(named).name) if f.is_file()]
    if there and there[0].resolve() != path.resolve():
        return _read(there[0])
    why = "file not found: its settings are not in the preset"
    report.append(Item("note", "dataset_config", why))
    return None


def _settings(
    found: Mapping[str, Any], script: str, additions: Additions
) -> tuple[dict[str, Any], dict[str, Any], list[Item]]:
    """Return what goes into [train] and [dataset], all as the file says it, and the report."""
    known, report = meaning.every(script, additions), []
    train: dict[str, Any] = {}
    dataset: dict[str, Any] = {}
    for name, value in found.items():
        shown = name if name.isprintable() else repr(name)
        if why := _why_not(name, value, known):
            report.append(Item("dropped", shown[:60], why))
        elif key := meaning.dataset_key(name):
            dataset[key] = values.typed(options.dataset()[key], value)
            kind = "mapped" if key == name else "renamed"
            report.append(Item(kind, shown, "" if key == name else f"dataset.{key}"))  # type: ignore[arg-type]
        else:
            train[name] = value
            report.append(Item("mapped", shown))
    return train, dataset, report


def _why_not(name: str, value: Any, known: Mapping[str, options.Option]) -> str | None:
    if name in _GUI_ONLY or name not in known:
        return "not an option of this script"
    return meaning.unfit(name, value, known) or (
        None
        if not (key := meaning.dataset_key(name))
        or values.typed(options.dataset()[key], value) is not None
        else "not a valid value for a dataset"
    )


def _subset(config: ConfigFile) -> tuple[dict[str, Any], list[Item]]:
    """Return the settings of the first subset; a preset has one."""
    known, report = options.dataset(), []
    every = list(configs.combined(config))
    if len(every) > 1:
        lost = plural(len(every) - 1, "more subset")
        report.append(Item("lost", "datasets", f"a preset has one subset; {lost} not imported"))
    found: dict[str, Any] = {}
    for name, (value, _) in every[0].items() if every else ():
        if name in PATHS:
            report.append(Item("dropped", name, meaning.PLACE))
        elif name not in known or options.check(known[name], value):
            why = "not a dataset setting, or a value of the wrong type"
            report.append(Item("dropped", name, why))
        else:
            found[name] = value
            report.append(Item("mapped", f"dataset.{name}"))
    return found, report
