"""Which script a training config is for, seen with the dataset config that goes with it."""

from __future__ import annotations

from kohya_presets.files import configs
from kohya_presets.files.configs import ConfigFile
from kohya_presets.sdscripts import recognize
from kohya_presets.sdscripts.recognize import Recognized
from kohya_presets.training import settings


def script(config: ConfigFile, dataset: ConfigFile | None = None) -> Recognized:
    """Return the script that a training config is for, by what is in both files."""
    said = {key: value for key, (value, _) in configs.options(config).items()}
    subsets = list(configs.combined(dataset)) if dataset else []
    of_dataset, _ = subsets[0].get("resolution", (None, ())) if subsets else (None, ())
    sides = settings.sides(of_dataset or said.get("resolution"))
    return recognize.script(
        said,
        comments=config.comments,
        path=config.file.absolute(),
        resolution=max(sides) if sides else None,
    )
