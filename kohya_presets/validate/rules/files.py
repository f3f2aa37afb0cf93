"""Paths and texts in files that sd-scripts reads: what is missing, empty or misread."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import (
    AT_ONCE,
    FIRST_SAVE,
    LOADING,
    MODEL_LOADED,
    NEVER,
    READING_IMAGES,
    Finding,
    Rule,
)

# Paths of the training config, and of a subset.
PATHS = (
    *("pretrained_model_name_or_path", "vae", "train_data_dir", "reg_data_dir", "in_json"),
    *("dataset_config", "output_dir", "logging_dir", "resume", "sample_prompts"),
)
SUBSET_PATHS = ("image_dir", "metadata_file", "conditioning_data_dir")
# Options of which sd-scripts asks whether they are None, which "" is not.
NOT_EMPTY = ("in_json", "vae", "reg_data_dir", "resume", "dataset_class", "dataset_config")
_CONTROL = {"\t": r"\t", "\b": r"\b", "\f": r"\f", "\r": r"\r", "\n": r"\n"}


def lacks(key: str, message: str, *others: str) -> Callable[[Settings], Finding | None]:
    """Return a check that a training config has `key`, or one of `others`."""

    def find(s: Settings) -> Finding | None:
        if s.kind != "config" or any(s.given("train", name) for name in (key, *others)):
            return None
        return Finding("train", key, message, f"Give {' or '.join((key, *others))}.")

    return find


def empty_text(s: Settings) -> Finding | None:
    for key in NOT_EMPTY:
        if s.given("train", key) == "":
            message = f'{key} = "" is not the same as none: it is taken for a path'
            return Finding("train", key, message, f"Leave {key} out.")
    return None


def backslash(s: Settings) -> Finding | None:
    for table, key, value in _texts(s):
        if key in (*PATHS, *SUBSET_PATHS) and (found := re.search(r"[\t\b\f\r\n]", value)):
            message = f"{_CONTROL[found[0]]} in a path of {key} was read as one character"
            hint = f"Write it in single quotes, {key} = '...', or with slashes: C:/train"
            return Finding(table, key, message, hint)
    return None


def locale(s: Settings) -> Finding | None:
    for table, key, value in _texts(s):
        if s.kind == "config" and not value.isascii():
            message = (
                f"{key} has letters beyond ASCII, which this release reads in the system's encoding"
            )
            hint = "On Windows set PYTHONUTF8=1, or use v0.10.0 or newer."
            return Finding(table, key, message, hint)
    return None


def dataset_config_form(s: Settings) -> Finding | None:
    name = s.given("train", "dataset_config")
    if not name or str(name).lower().endswith((".toml", ".json")):
        return None
    return Finding("train", "dataset_config", f"expected a .toml or .json file, found {name!r}")


def dataset_config_wins(s: Settings) -> Finding | None:
    for key in ("train_data_dir", "in_json"):
        if s.given("train", "dataset_config") and s.given("train", key):
            message = f"{key} does nothing beside dataset_config"
            return Finding("train", key, message, f"Leave {key} out.")
    return None


def _texts(s: Settings) -> Iterator[tuple[str, str, str]]:
    for table, values in s.tables.items():
        for key, value in values.items():
            if isinstance(value, str):
                yield table, key, value


_TRAIN = "sdxl_train.py, train"
RULES = (
    Rule(
        "no-base",
        "error",
        "pretrained_model_name_or_path is needed",
        lacks("pretrained_model_name_or_path", "there is no model to start from"),
        "library/sdxl_train_util.py, load_target_model",
        fails=LOADING,
        options=("pretrained_model_name_or_path",),
    ),
    Rule(
        "no-output",
        "error",
        "output_dir is needed",
        lacks("output_dir", "there is no folder to save to"),
        "library/train_util.py, save_sd_model_on_train_end_common: os.makedirs(None)",
        fails=FIRST_SAVE,
        options=("output_dir",),
    ),
    Rule(
        "no-images",
        "error",
        "dataset_config, train_data_dir or in_json is needed",
        lacks(
            "dataset_config", "there are no images", "train_data_dir", "in_json", "dataset_class"
        ),
        f"{_TRAIN}: ends without an error and without a model",
        fails=NEVER,
        options=("dataset_config", "train_data_dir", "in_json"),
    ),
    Rule(
        "empty-text",
        "error",
        "in_json, vae, reg_data_dir, resume and dataset_config are not empty",
        empty_text,
        f"{_TRAIN}: asks whether they are None",
        fails=MODEL_LOADED,
        options=("in_json", "vae", "reg_data_dir", "resume", "dataset_config"),
    ),
    Rule(
        "backslash",
        "error",
        "a path has no tab or line end in it",
        backslash,
        "toml 0.10.2: a backslash in double quotes begins an escape",
        fails=READING_IMAGES,
    ),
    Rule(
        "dataset-config-form",
        "error",
        "dataset_config is a .toml or .json file",
        dataset_config_form,
        "library/config_util.py, load_user_config: raises",
        fails=AT_ONCE,
        options=("dataset_config",),
    ),
    Rule(
        "dataset-config-wins",
        "warning",
        "dataset_config takes the place of train_data_dir and in_json",
        dataset_config_wins,
        f"{_TRAIN}: warns",
        fails=NEVER,
        options=("dataset_config", "train_data_dir", "in_json"),
    ),
    Rule(
        "locale",
        "warning",
        "a config is ASCII",
        locale,
        "library/train_util.py, read_config_from_file: open() without an encoding",
        releases="<0.10.0",
        not_in=("8ebe858f8963", "2e0fcc50cb34"),
        fails=AT_ONCE,
    ),
)
