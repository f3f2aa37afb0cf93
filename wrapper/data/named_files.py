"""Check the files and folders that a preset's options name, as the trainer will look for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem
from kohya_presets.toml import text as toml_text
from kohya_presets.validate.rules.stops.files import PROMPTS, SAMPLES
from wrapper.data import base_model

FILES = ("sample_prompts", "log_tracker_config", "network_weights", "base_weights")
FOLDERS = ("resume", "conditioning_data_dir")
_VAE_FILES = (".pt", ".ckpt", ".bin")  # and what `base_model` knows


def problems(preset: Preset) -> Iterator[Problem]:
    """Yield the options whose file or folder does not exist, and prompts that cannot be read."""
    for table in ("train", "dataset"):
        for option, value in preset.tables.get(table, {}).items():
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str) and name and _is_checked(preset, option, name):
                    yield from _missing(preset, table, option, name)
    yield from _samples(preset)


def _is_checked(preset: Preset, option: str, name: str) -> bool:
    if option == "vae":  # may be owner/repo
        return base_model.is_path(name) or name.endswith(_VAE_FILES)
    if option == "resume":
        return not preset.train.get("resume_from_huggingface")
    return option in (*FILES, *FOLDERS, "console_log_file")


def _missing(preset: Preset, table: str, option: str, name: str) -> Iterator[Problem]:
    path = Path(name)
    if option == "resume":  # accelerate's, which knows ~
        path = path.expanduser()
    if path.is_absolute() and _is_there(option, path):
        return
    full = Path(name).expanduser().absolute()
    if _is_there(option, full):
        message = f"{option} = {name!r} is not a full path: sd-scripts runs in another folder"
        setting = f"{table}.{option}={toml_text.value_text(str(full))}"
        hint = f"Use --set '{setting}'."
    else:
        kind = "folder" if option in FOLDERS else "file"
        what = f"the folder of the {kind}" if option == "console_log_file" else f"the {kind}"
        message = f"{what} {name} does not exist"
        hint = f"Give its full path, or remove it with --set {table}.{option}=unset."
    yield Problem("no-file", "error", preset.place(table, option), message, hint)


def _is_there(option: str, path: Path) -> bool:
    if option == "console_log_file":  # which it creates, without the folder
        return path.parent.is_dir()
    if option == "vae":
        return path.exists()
    return path.is_dir() if option in FOLDERS else path.is_file()


def _samples(preset: Preset) -> Iterator[Problem]:
    """Yield a file of prompts that `sample_images_common` (library/train_util.py) cannot read.

    Samples without any prompts are what the rule `samples-without-prompts` is about.
    """
    prompts = preset.train.get("sample_prompts")
    asked = any(preset.train.get(option) for option in SAMPLES)
    if asked and prompts and not str(prompts).endswith(PROMPTS):
        message = f"sample_prompts must be a file that ends in {' or '.join(PROMPTS)}"
        hint = "Write the prompts to a text file, one on each line, and give its full path."
        where = preset.place("train", "sample_prompts")
        yield Problem("no-prompts", "error", where, message, hint)
