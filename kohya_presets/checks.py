"""Check a preset's settings against what sd-scripts' options are: names and TOML types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kohya_presets import options, patch_options, toml_text
from kohya_presets.options import Option
from kohya_presets.preset import TABLES, Sheet, Table
from kohya_presets.problems import Problem, did_you_mean

TRAINERS = ("sdxl_train.py", "sdxl_train_network.py")
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


def settings(sheets: Sequence[Sheet], header: Table, *, whole: bool = True) -> Iterator[Problem]:
    """Yield what is wrong with the settings on `sheets`, given the [preset] they make together.

    Where `whole` is not set, part of [preset] could not be read or a parent is missing: an option
    that the unread part may have allowed is no fault then.
    """
    script = header.get("script")
    if isinstance(script, str) and script not in TRAINERS:
        yield _unknown_script(sheets, script)
    known = {
        "train": _train(header, whole=whole),
        "dataset": options.dataset(),
        **{table: options.of(tool) for table, tool in SCRIPTS.items()},
    }
    for sheet in sheets:
        for table, key, value in () if _jumbled(sheet) else sheet.settings():
            yield from _setting(sheet, table, key, value, known[table])


def _jumbled(sheet: Sheet) -> bool:
    """Return whether a table stands twice: the keys of the second were read into another table."""
    twice = [p.where.key for p in sheet.source.problems if p.code == "duplicate-key"]
    return not set(twice).isdisjoint(TABLES)


def _train(header: Table, *, whole: bool) -> Mapping[str, Option]:
    """Return the options that [train] may have; those of all scripts where it is not known which.

    That is a fault of its own, and should not make a fault of every option.
    """
    script, patches = header.get("script"), header.get("patches", [] if whole else None)
    scripts = [script] if script in TRAINERS else TRAINERS
    listed = isinstance(patches, list) and all(isinstance(name, str) for name in patches)
    added = patch_options.of(patches if listed else tuple(patch_options.PATCH_OPTIONS))
    return {k: v for table in (*map(options.of, scripts), added) for k, v in table.items()}


def _unknown_script(sheets: Sequence[Sheet], script: str) -> Problem:
    says = next(sheet for sheet in sheets if sheet.header.get("script") == script)
    hint = did_you_mean(script, TRAINERS) or f"Known: {', '.join(TRAINERS)}."
    where = says.source.place("preset", "script")
    return Problem("unknown-script", "error", where, f"unknown script {script!r}", hint)


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
    elif fault := _unreadable(value):
        code, message = "unreadable-value", fault
    else:
        return
    yield Problem(code, "error", sheet.source.place(table, key), message, hint)


def _unreadable(value: Any) -> str | None:
    try:
        toml_text.value_text(value)
    except ValueError as error:
        return str(error)
    return None


def _unknown(table: str, key: str, known: Mapping[str, Option]) -> tuple[str, str | None]:
    if table == "train" and (patch := patch_options.patch_with(key)):
        return f"{key} comes with the patch {patch!r}", f'Add patches = ["{patch}"] to [preset].'
    if table == "train" and key in options.dataset():
        return f"{key} is a dataset option", "Move it to the [dataset] table."
    if table == "dataset" and key in options.of("sdxl_train.py"):
        return f"{key} is a training option", "Move it to the [train] table."
    return f"unknown option {key!r} in [{table}]", did_you_mean(key, known)
