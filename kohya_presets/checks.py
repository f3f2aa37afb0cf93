"""Check a preset's settings against what sd-scripts' options are: names and TOML types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kohya_presets import options, patch_options
from kohya_presets.options import Option
from kohya_presets.preset import Sheet
from kohya_presets.problems import Problem, did_you_mean

SCRIPTS = {
    "extract": "networks/extract_lora_from_models.py",
    "resize": "networks/resize_lora.py",
}
# What the job fills in for every run; in a preset they would tie it to one machine.
PATHS = frozenset(
    {
        "pretrained_model_name_or_path",
        "train_data_dir",
        "in_json",
        "dataset_config",
        "config_file",
        "output_dir",
        "output_name",
        "image_dir",
        "metadata_file",
        "model_org",
        "model_tuned",
        "save_to",
        "model",
    }
)


def settings(sheets: Sequence[Sheet], merged: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield what is wrong with the settings on `sheets`, given the preset they make together."""
    script = merged["preset"].get("script", "sdxl_train.py")
    if not (known := options.of(script)):
        where = sheets[0].source.place("preset", "script")
        hint = did_you_mean(script, options.SCRIPTS) or f"Known: {', '.join(options.SCRIPTS)}."
        yield Problem("unknown-script", "error", where, f"unknown script {script!r}", hint)
        return
    patches = merged["preset"].get("patches", ())
    for sheet in sheets:
        for table, key, value in sheet.settings():
            yield from _setting(sheet, table, key, value, _known(table, known, patches))


def _known(table: str, train: Mapping[str, Option], patches: Sequence[str]) -> Mapping[str, Option]:
    if table == "train":
        return {**train, **patch_options.of(patches)}
    return options.dataset() if table == "dataset" else options.of(SCRIPTS[table])


def _setting(
    sheet: Sheet, table: str, key: str, value: Any, known: Mapping[str, Option]
) -> Iterator[Problem]:
    hint: str | None = None
    if key in PATHS:
        code, message = "path-in-preset", f"{key} is set for each run"
        hint = "Give it on the command line; presets hold no path of a machine."
    elif key not in known:
        code = "unknown-option"
        message, hint = _unknown(table, key, known)
    elif fault := options.check(known[key], value):
        code, message = "wrong-type", fault
    else:
        return
    yield Problem(code, "error", sheet.source.place(table, key), message, hint)


def _unknown(table: str, key: str, known: Mapping[str, Option]) -> tuple[str, str | None]:
    if table == "train" and (patch := patch_options.patch_with(key)):
        return f"{key} comes with the patch {patch!r}", f'Add patches = ["{patch}"] to [preset].'
    if table == "train" and key in options.dataset():
        return f"{key} is a dataset option", "Move it to the [dataset] table."
    if table == "dataset" and key in options.of("sdxl_train.py"):
        return f"{key} is a training option", "Move it to the [train] table."
    return f"unknown option {key!r} in [{table}]", did_you_mean(key, known)
