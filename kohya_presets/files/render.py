"""The files sd-scripts reads, made from a preset and the paths of one run.

`config.toml` goes to `--config_file`, `dataset.toml` to `--dataset_config`. sd-scripts refuses
unknown keys in the second and ignores them in the first, so nothing extra is written to either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from kohya_presets.presets.preset import Preset, Table
from kohya_presets.sdscripts import options
from kohya_presets.toml import text as toml_text

HEAD = "# Written by kohya-presets from the preset {name!r}; edit the preset, not this file.\n\n"


@dataclass(frozen=True)
class Paths:
    """What a preset does not contain: the paths of one run on this machine."""

    data: Path  # folder of images and captions
    base: PurePath  # checkpoint to start from, or owner/repo
    output: Path  # folder the trainer writes to
    name: str  # of the file that training makes, without suffix
    dataset_config: Path


def config(preset: Preset, paths: Paths, *, extra: Table | None = None) -> str:
    """Return `config.toml`: the run's paths, the preset's [train], and `extra` over both."""
    run = {
        "pretrained_model_name_or_path": str(paths.base),
        "output_dir": str(paths.output),
        "output_name": paths.name,
        "dataset_config": str(paths.dataset_config),
    }
    return head(preset) + toml_text.table({**run, **preset.train, **(extra or {})})


def dataset(preset: Preset, paths: Paths) -> str:
    """Return `dataset.toml`: one dataset with one subset, each key on the level it belongs to."""
    subset = {"image_dir": str(paths.data), **level(preset.dataset, "subset")}
    return (
        head(preset)
        + f"[[datasets]]\n{toml_text.table(level(preset.dataset, 'dataset'))}\n"
        + f"[[datasets.subsets]]\n{toml_text.table(subset)}"
    )


def arguments(table: Table) -> tuple[str, ...]:
    """Return a table as command-line words, for the two scripts that read no config file.

    `true` is the bare option, `false` is its absence, a list is the option and its items.
    """
    words: list[str] = []
    for key, value in table.items():
        if isinstance(value, bool):
            words += [f"--{key}"] if value else []
        elif isinstance(value, list | tuple):
            words += [f"--{key}", *map(_word, value)]
        else:
            # One word: a value that starts with a dash would be taken for an option.
            words.append(f"--{key}={_word(value)}")
    return tuple(words)


def head(preset: Preset) -> str:
    """Return the comment that each written file begins with."""
    return HEAD.format(name=preset.name)


def level(table: Table, name: str) -> Mapping[str, Any]:
    """Return what of a preset's [dataset] belongs to a level: "dataset" or "subset"."""
    known = options.dataset()
    return {key: value for key, value in table.items() if known[key].level == name}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else toml_text.value_text(value)
