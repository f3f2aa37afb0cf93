"""Paths, texts and prompts that sd-scripts reads from files: what is missing, empty or misread."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kohya_presets.sdscripts.scripts import KNOWN
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import (
    AT_ONCE,
    FIRST_STEP,
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
    *("network_weights", "ae", "clip_l", "clip_g", "t5xxl", "tokenizer_cache_dir"),
)
SUBSET_PATHS = ("image_dir", "metadata_file", "conditioning_data_dir")
# Options of which sd-scripts asks whether they are None, which "" is not.
NOT_EMPTY = ("in_json", "vae", "dataset_class", "dataset_config")
SAMPLES = ("sample_every_n_epochs", "sample_every_n_steps", "sample_at_first")
PROMPTS = (".txt", ".toml", ".json")  # of another file of prompts sd-scripts reads nothing
_CONTROL = {"\t": r"\t", "\b": r"\b", "\f": r"\f", "\r": r"\r", "\n": r"\n"}


def empty_text(s: Settings) -> Finding | None:
    for key in NOT_EMPTY:
        if key == "vae" and s.script in KNOWN and KNOWN[s.script].model not in ("SD", "SDXL"):
            continue  # read by none of them, or only if it is not empty
        if s.given("train", key) == "":
            message = f'{key} = "" is empty, but sd-scripts uses it as a path'
            return Finding("train", key, message, f"Leave {key} out.")
    return None


def backslash(s: Settings) -> Finding | None:
    for table, key, value in _texts(s):
        if key in (*PATHS, *SUBSET_PATHS) and (found := re.search(r"[\t\b\f\r\n]", value)):
            message = f"the backslash in {_CONTROL[found[0]]} in {key} was read as an escape"
            hint = f"Use single quotes, {key} = '...', or forward slashes: C:/train"
            return Finding(table, key, message, hint)
    return None


def locale(s: Settings) -> Finding | None:
    for table, key, value in _texts(s):
        if s.kind == "config" and not value.isascii():
            message = (
                f"{key} has non-ASCII letters, which this release reads in the system's encoding"
            )
            hint = "On Windows, set PYTHONUTF8=1 or use v0.10.0 or newer."
            return Finding(table, key, message, hint)
    return None


def dataset_config_form(s: Settings) -> Finding | None:
    name = s.given("train", "dataset_config")
    if not name or str(name).lower().endswith((".toml", ".json")):
        return None
    return Finding("train", "dataset_config", f"expected a .toml or .json file, found {name!r}")


def dataset_config_wins(s: Settings) -> Finding | None:
    for key in ("train_data_dir", "reg_data_dir", "in_json"):
        if s.given("train", "dataset_config") and s.given("train", key):
            message = f"{key} has no effect with dataset_config"
            return Finding("train", key, message, f"Leave {key} out.")
    return None


def samples_without_prompts(s: Settings) -> Finding | None:
    if s.kind == "config" or s.given("train", "sample_prompts") or s.given("samples", "prompts"):
        return None  # of a config, the command line may give them: that is a note
    for key in SAMPLES:
        if s.given("train", key):
            message = f"{key} needs sample_prompts: without, the training stops at the first sample"
            return Finding("train", key, message, f"Leave {key} out.")
    return None


def sample_every_zero(s: Settings) -> Finding | None:
    epochs, steps = (s.given("train", key) for key in SAMPLES[:2])
    for key, value in zip(SAMPLES[:2], (epochs, steps if epochs is None else None), strict=True):
        if value == 0:
            message = f"expected {key} of 1 or more, found 0"
            return Finding("train", key, message, f"Leave {key} out for no samples.")
    return None


def prompts_form(s: Settings) -> Finding | None:
    name = s.given("train", "sample_prompts")
    if not name or str(name).lower().endswith(PROMPTS):
        return None
    message = f"sample_prompts is a file of prompts (.txt, .toml or .json), found {name!r}"
    return Finding("train", "sample_prompts", message, "Write the prompts into a .txt file.")


def _texts(s: Settings) -> Iterator[tuple[str, str, str]]:
    for table, values in s.tables.items():
        for key, value in values.items():
            if isinstance(value, str):
                yield table, key, value


_TRAIN = "sdxl_train.py, train"
_SAMPLES = "library/train_util.py (sample_util.py from v0.11.0), sample_images_common"
RULES = (
    Rule(
        "empty-text",
        "error",
        "in_json, vae and dataset_config must not be empty",
        empty_text,
        f"{_TRAIN}: asks whether they are None",
        fails=MODEL_LOADED,
        options=("in_json", "vae", "dataset_config"),
    ),
    Rule(
        "backslash",
        "error",
        "a path must not contain a tab or a line end",
        backslash,
        "toml 0.10.2: a backslash in double quotes begins an escape",
        fails=READING_IMAGES,
    ),
    Rule(
        "dataset-config-form",
        "error",
        "dataset_config must be a .toml or .json file",
        dataset_config_form,
        "library/config_util.py, load_user_config: raises",
        fails=AT_ONCE,
        options=("dataset_config",),
    ),
    Rule(
        "dataset-config-wins",
        "warning",
        "dataset_config replaces train_data_dir, reg_data_dir and in_json",
        dataset_config_wins,
        f"{_TRAIN}: warns",
        fails=NEVER,
        options=("dataset_config", "train_data_dir", "reg_data_dir", "in_json"),
    ),
    Rule(
        "samples-without-prompts",
        "error",
        "sample_every_n_epochs, sample_every_n_steps and sample_at_first need sample_prompts",
        samples_without_prompts,
        f"{_SAMPLES}: os.path.isfile(None) raises TypeError",
        fails=FIRST_STEP,
        options=(*SAMPLES, "sample_prompts"),
    ),
    Rule(
        "sample-every-zero",
        "error",
        "sample_every_n_epochs and sample_every_n_steps must be 1 or more",
        sample_every_zero,
        f"{_SAMPLES}: divides by it; from v0.8.6 on, 0 turns samples off",
        releases="<0.8.6",
        fails=FIRST_STEP,
        options=SAMPLES[:2],
    ),
    Rule(
        "prompts-form",
        "warning",
        "sample_prompts must be a .txt, .toml or .json file",
        prompts_form,
        f"{_SAMPLES}: draws nothing without a file of that name",
        fails=NEVER,
        options=("sample_prompts",),
    ),
    Rule(
        "locale",
        "warning",
        "a config must be ASCII",
        locale,
        "library/train_util.py, read_config_from_file: open() without an encoding",
        releases="<0.10.0",
        not_in=("8ebe858f8963", "2e0fcc50cb34"),
        fails=AT_ONCE,
    ),
)
