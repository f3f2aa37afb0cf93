"""Files of sd-scripts as a preset: a config, its dataset config, or both."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

from kohya_presets.errors import PresetError, UserError
from kohya_presets.files import configs, named, other_tools, recognized
from kohya_presets.files.configs import ConfigFile
from kohya_presets.gui import by_options, meaning, next_format
from kohya_presets.gui.imported import Imported
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions.saved_file import LARGEST
from kohya_presets.problems import errors, plural
from kohya_presets.sdscripts import options, recognize
from kohya_presets.sdscripts.additions import Additions


def toml_file(path: Path, name: str, additions: Additions) -> Imported:
    """Return the preset called `name` made from a file of sd-scripts, or of the GUI's next version.

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
    script = next_format.script(found)
    read_as = f"a config of the Kohya GUI's next version for {script}"
    if script:
        found, own = next_format.read(found)
        report += own
    else:
        script = recognized.script(config, dataset).script
        is_of_lora_scripts = found.pop(recognize.OF_LORA_SCRIPTS, None) is not None
        read_as = f"a config {'of lora-scripts ' if is_of_lora_scripts else ''}for {script}"
    subset, more = _subset(dataset) if dataset else ({}, [])
    made = by_options.preset(
        found, name, script, additions, read_as=read_as, subset=subset, report=report
    )
    return Imported(made.preset, read_as, (*made.report, *more))


def _read(path: Path, *, is_dataset: bool = False) -> ConfigFile:
    if path.is_file() and (size := path.stat().st_size) > LARGEST:
        raise UserError(f"{path} is too large for a config: {size / 1e6:.1f} MB")
    try:
        config = configs.read(path, is_dataset=is_dataset)
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply for a config") from error
    other_tools.refuse(path, config.values)
    if errors(config.problems):
        raise PresetError(str(path), config.problems)
    if "schema" in config.values or isinstance(config.values.get("preset"), dict):
        raise UserError(f"{path} is already a preset", hint="Copy it to your presets folder.")
    return config


def _beside(path: Path, name: Any, report: list[Item]) -> ConfigFile | None:
    """Return the dataset config that a config names, if it exists."""
    if not isinstance(name, str) or not name:
        return None
    there = named.find(path, name)
    beside = there.file if there else path.parent / PureWindowsPath(name).name
    if beside.is_file() and beside.resolve() != path.resolve():
        return _read(beside, is_dataset=True)
    why = "file not found: its settings are not in the preset"
    report.append(Item("note", "dataset_config", why))
    return None


def _subset(config: ConfigFile) -> tuple[dict[str, Any], list[Item]]:
    """Return the settings of the first subset; a preset has one."""
    known, report = options.dataset(), []
    every = list(configs.combined(config))
    if len(every) > 1:
        lost = plural(len(every) - 1, "more subset")
        report.append(Item("lost", "datasets", f"a preset has one subset; {lost} not imported"))
    found: dict[str, Any] = {}
    for name, (value, _) in every[0].items() if every else ():
        if why := meaning.place(name, value, {}):
            report.append(Item("dropped", name, why))
        elif name not in known or options.check(known[name], value):
            why = "not a dataset setting, or a value of the wrong type"
            report.append(Item("dropped", name, why))
        else:
            found[name] = value
            report.append(Item("mapped", f"dataset.{name}"))
    return found, report
