"""The dataset config of a run: from a folder of images, folders like `10_name`, or another config.

What another dataset config leaves open, the preset says in [general]: so sd-scripts itself looks
there (library/config_util.py, BlueprintGenerator.generate_params_by_fallbacks).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kohya_presets.dataset import subsets
from kohya_presets.errors import UserError
from kohya_presets.files import configs, render
from kohya_presets.files.configs import ConfigFile
from kohya_presets.files.render import Paths
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.toml import text as toml_text

_PATHS = ("image_dir", "conditioning_data_dir", "metadata_file")
_OF_SUBSETS = ("alpha_mask", "is_reg")  # which [general] may not have


def text(preset: Preset, paths: Paths) -> str:
    """Return the dataset config of a run; `paths.data` is a folder or a dataset config.

    Raises:
        UserError: it is a file that is no dataset config.
    """
    if paths.data.suffix == ".toml" and paths.data.is_file():
        return "".join(_of_config(preset, read(paths.data)))
    if subsets.is_around(paths.data):
        return "".join(_of_folders(preset, paths.data))
    return render.dataset(preset, paths)


def read(file: Path) -> ConfigFile:
    """Return a dataset config.

    Raises:
        UserError: it is none, or sd-scripts cannot read it.
    """
    config = configs.read(file, is_dataset=True)
    if config.is_unreadable or not configs.datasets(config):
        why = config.problems[0].message if config.problems else "it has no [[datasets]]"
        raise UserError(
            f"{file} is no dataset config: {why}",
            hint="Give a folder of images, or a file with [[datasets]] and [[datasets.subsets]].",
        )
    return config


def _of_config(preset: Preset, config: ConfigFile) -> Iterator[str]:
    yield render.head(preset)
    own = {key: value for key, value in preset.dataset.items() if key in _OF_SUBSETS}
    general = {key: value for key, value in preset.dataset.items() if key not in own}
    yield f"[general]\n{toml_text.table({**general, **_table(config.values.get('general'))})}\n"
    for part in configs.parts(config):
        if part.level == "dataset":
            yield f"[[datasets]]\n{toml_text.table(part.values)}\n"
        elif part.level == "subset":
            values = {**_fitting(own, part.values), **_whole(part.values, config.file)}
            yield f"[[datasets.subsets]]\n{toml_text.table(values)}\n"


def _of_folders(preset: Preset, around: Path) -> Iterator[str]:
    yield render.head(preset)
    yield f"[[datasets]]\n{toml_text.table(render.level(preset.dataset, 'dataset'))}\n"
    for folder, repeats, name in subsets.numbered(around):
        own = {"image_dir": str(folder), "num_repeats": repeats, "class_tokens": name}
        values = {**render.level(preset.dataset, "subset"), **own}
        yield f"[[datasets.subsets]]\n{toml_text.table(values)}\n"


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _fitting(own: Table, values: Table) -> Table:
    """Return what a subset may have of these: one with masks or metadata is of another kind."""
    if "conditioning_data_dir" in values:
        return {}
    return {k: v for k, v in own.items() if k != "is_reg" or "metadata_file" not in values}


def _whole(values: Table, file: Path) -> dict[str, Any]:
    """Return a subset's values with whole paths: sd-scripts starts in another folder."""
    found = dict(values)
    for key in _PATHS:
        if isinstance(name := values.get(key), str) and name:
            found[key] = str(subsets.path(name, file).absolute())
    return found
