"""The folders of a training config: sd-scripts reads their sub-folders named `N_name` only.

library/config_util.py, generate_dreambooth_subsets_config_by_subdirs: N is how often each image of
the sub-folder is repeated; a folder of images itself gives nothing, without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from kohya_presets.problems import Problem, Severity
from kohya_presets.training.settings import Settings

_NUMBERED = re.compile(r"\d+(_|$)")


def check(s: Settings) -> Iterator[Problem]:
    """Yield what is wrong with train_data_dir and reg_data_dir, where they are read."""
    if s.given("train", "dataset_config") or s.given("train", "in_json"):
        return  # then they are ignored, or hold the images of the metadata file
    for key in ("train_data_dir", "reg_data_dir"):
        if name := s.given("train", key):
            yield from _folder(s, key, str(name))


def _folder(s: Settings, key: str, name: str) -> Iterator[Problem]:
    where, folder = s.place("train", key), Path(name)
    last = PureWindowsPath(name).name  # knows both kinds of slashes
    if folder.is_dir():
        inside = [path.name for path in folder.iterdir() if path.is_dir()]
        if not any(map(_NUMBERED.match, inside)):
            message = (
                f"{name} has no folder named like 10_name, so sd-scripts finds no images there"
            )
            hint = "Put the images into such a folder inside: 10 is how often each is repeated."
            severity: Severity = "error" if key == "train_data_dir" else "warning"
            yield Problem("no-numbered-folder", severity, where, message, hint)
    elif _NUMBERED.match(last) and "_" in last:
        message = f"{key} is the folder around folders such as {last}, which is one itself"
        yield Problem(
            "numbered-folder", "warning", where, message, "Give the folder that it is in."
        )
