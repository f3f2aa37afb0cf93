"""Check each setting alone against the options of sd-scripts: its name, type and value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kohya_presets.errors import PresetError
from kohya_presets.presets.preset import PATHS, Preset, Table
from kohya_presets.problems import (
    SHOWN,
    Place,
    Problem,
    Severity,
    did_you_mean,
    errors,
    listed,
)
from kohya_presets.sdscripts import options, recognize, releases
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.sdscripts.options import Option
from kohya_presets.sdscripts.other_names import OF_LORA_SCRIPTS
from kohya_presets.sdscripts.scripts import KNOWN, TOOLS, TRAINERS, is_of_a_kind, nearest_first
from kohya_presets.toml import source as toml_source
from kohya_presets.toml import text as toml_text
from kohya_presets.training import settings
from kohya_presets.training.settings import STAND_INS, Settings
from kohya_presets.validate import choices, loose, unknown
from kohya_presets.validate.unknown import Meant

# What the Kohya GUI (v23 to v26) writes into its files, and no training script reads.
OF_GUI = frozenset(
    {
        *("epoch", "noise_offset_type", "use_wandb", "lowvram", "lora_network_weights", "sdxl"),
        *("loraplus_lr_ratio", "loraplus_text_encoder_lr_ratio", "loraplus_unet_lr_ratio"),
        *("train_blocks", "weigts"),
    }
)


def of_preset(s: Settings) -> Iterator[Problem]:
    """Yield what is wrong with the settings of a preset for the release they are for."""
    if s.script and s.script not in TRAINERS:
        hint = did_you_mean(s.script, TRAINERS) or f"Use one of {', '.join(TRAINERS)}."
        message = f"unknown script {s.script!r}"
        yield Problem("unknown-script", "error", s.place("preset", "script"), message, hint)
    for table, values in s.tables.items():
        for key, value in values.items():
            if key in PATHS:
                hint = "Set it on the command line. Presets cannot contain local paths."
                message = f"{key} does not belong in a preset: it is set for each run"
                yield Problem("path-in-preset", "error", s.place(table, key), message, hint)
            else:
                yield from option(s, table, key, value)


def require(made: Preset, additions: Additions) -> Settings:
    """Return the settings of a preset for the release it is best for, each of them right alone.

    Raises:
        PresetError: some are misspelled, of the wrong type, or not a choice; with all of them.
    """
    found = settings.of_preset(made, releases.best_for(made.releases), additions)
    if wrong := errors(of_preset(found)):
        raise PresetError(f"preset {made.name!r}", wrong)
    return found


def option(s: Settings, table: str, key: str, value: Any) -> Iterator[Problem]:
    """Yield what is wrong with one setting for the release, script and patches of `s`."""
    # Lines are looked up only if something is wrong.
    known = s.known(table)
    if key not in known:
        yield _unknown(table, key, s.place(table, key), known, s)
    elif fault := options.check(known[key], value):
        yield _taken(table, known[key], value, s) or _misfit(table, known[key], value, fault, s)
    elif fault := _unreadable(value):
        yield Problem("unreadable-value", "error", s.place(table, key), fault)


def dataset_key(s: Settings, level: str, part: Table, key: str) -> Iterator[Problem]:
    """Yield what is wrong with one key of a part of a dataset file."""
    known, where = s.known("dataset"), s.place
    if key in known and level not in known[key].levels:
        wanted = " or ".join(_level(name) for name in known[key].levels)
        message = f"{key} is not allowed in {_level(level)}"
        hint = f"Move it to {wanted}."
        yield Problem("wrong-level", "error", where("dataset", key), message, hint)
    elif key in known and level == "subset" and _subset(part) not in known[key].subsets:
        message = f"{key} is not allowed in a subset of {_subset(part)}"
        yield Problem("wrong-level", "error", where("dataset", key), message)
    else:
        yield from option(s, "dataset", key, part[key])


def missing(release: str, subset: Table, where: Place) -> Iterator[Problem]:
    """Yield a problem for each required key that a subset lacks."""
    kind = _subset(subset)
    for known in options.dataset(release).values():
        if kind in known.required and known.name not in subset:
            yield Problem("missing-key", "error", where, f"a subset needs {known.name}")


def _subset(part: Table) -> str:
    """Return the kind of a subset, by the same rule as sd-scripts."""
    if "conditioning_data_dir" in part:
        return "conditioning"
    return "metadata" if "metadata_file" in part else "images"


def _level(name: str) -> str:
    return {"general": "[general]", "dataset": "[[datasets]]"}.get(name, "[[datasets.subsets]]")


def _taken(table: str, known: Option, value: Any, s: Settings) -> Problem | None:
    """Return what sd-scripts does with a value that does not fit; None where that is a fault."""
    if s.kind != "config" or table != "train":
        return None
    where = s.place(table, known.name)
    if how := loose.taken(known, value):
        shown = toml_text.value_text(value) if _unreadable(value) is None else repr(value)
        return Problem("loose-value", "note", where, f"{known.name} = {shown} {how}")
    if options.check(known._replace(choices=()), value) or _unreadable(value):
        return None
    if found := choices.outcome(known, value, s):
        code = "loose-value" if found.severity == "note" else "wrong-choice"
        return Problem(code, found.severity, where, found.says, found.hint)
    return None


def _misfit(table: str, known: Option, value: Any, fault: str, s: Settings) -> Problem:
    """Return the problem of a value that is not what the option takes."""
    where = s.place(table, known.name)
    if not options.check(known._replace(choices=()), value):
        newest = options.newest(known.name)  # keys of the dataset file have no choices
        later = newest.choices_since.get(str(value)) if newest else None
        hint = (
            f"Use sd-scripts {later} or newer."
            if later
            else did_you_mean(str(value), map(str, known.choices))
        )
        return Problem("wrong-choice", "error", where, fault, hint)
    hint = None
    script = TOOLS.get(table, s.script)
    if patch := s.additions.patch_that_takes(script, known.name, value):
        hint = f'Add patches = ["{patch}"] to [preset] to use this value.'
    elif isinstance(value, str) and known.type != "strs":
        bare = {"True": "true", "False": "false"}.get(value, value)
        hint = f"Remove the quotes: {known.name} = {bare}" if _is_toml(bare) else None
    elif isinstance(value, bool) and known.type in ("str", "strs"):  # "False" would be a path
        hint = f"Leave {known.name} out."
    elif known.type == "str" and not isinstance(value, list | dict):
        hint = f'Add quotes: {known.name} = "{value}"'
    elif known.type == "strs":
        items = str(value).split()
        hint = f"Write a list: {known.name} = {toml_text.value_text(items)}"
    return Problem("wrong-type", "error", where, fault, hint)


def _is_toml(text: str) -> bool:
    try:
        toml_source.value(text)
    except ValueError:
        return False
    return True


def _unreadable(value: Any) -> str | None:
    try:
        toml_text.value_text(value)
    except ValueError as error:
        return str(error)
    return None


def _unknown(
    table: str, key: str, where: Place, known: Mapping[str, Option], s: Settings
) -> Problem:
    """Return the problem of an unknown option, with the most helpful reason."""
    message = f"unknown option {key!r}" + (f" in [{table}]" if s.kind == "preset" else "")
    if problem := _other_release(table, key, where, s):
        return problem
    if patch := s.additions.patch_with(TOOLS.get(table, s.script), key):
        added = s.additions.options(s.script, [patch]).get(key)
        if s.kind == "config" and added and loose.is_usual(added, s.tables[table][key]):
            message = f"{key} is of the patch {patch!r}, and changes nothing here"
            return Problem("missing-patch", "note", where, message)
        hint = f'Add patches = ["{patch}"] to [preset].'
        if s.kind == "config":
            hint = f"Apply the patch: kohya-presets patch apply {patch}"
        return Problem("missing-patch", "error", where, f"{key} needs the patch {patch!r}", hint)
    if table == "train" and s.kind == "config" and key in OF_GUI and _is_idle(key, s):
        message = f"{key} is the Kohya GUI's own and has no effect in sd-scripts"
        return Problem("gui-key", "note", where, message)
    if table == "train" and key in OF_LORA_SCRIPTS and _is_of_lora_scripts(s):
        message = f"{key} is lora-scripts' own and has no effect in sd-scripts"
        return Problem("lora-scripts-key", "note", where, message)
    if table == "train" and options.in_dataset(key):
        return _dataset_option(key, where, s)
    given = s.tables.get(table, {})
    meant = unknown.meant(key, known, given)
    if (meant is None or s.kind == "config") and (elsewhere := _elsewhere(table, key, s, meant)):
        code, severity, message, todo = elsewhere
        return Problem(code, severity, where, message, todo or None)
    found = meant or unknown.near(key, known, given)
    near = found.todo if found else None
    if s.kind == "preset" or table != "train" or (found and found.is_lost):
        return Problem("unknown-option", "error", where, message, near)
    return Problem("unknown-option", "warning", where, f"{message}: sd-scripts ignores it", near)


def _is_of_lora_scripts(s: Settings) -> bool:
    return s.kind == "config" and recognize.OF_LORA_SCRIPTS in s.tables["train"]


def _is_lost(option: str, key: str, s: Settings) -> bool:
    """Return whether `option` is not set, and not by default what `key` says in its place."""
    return option not in s.tables["train"] and s.train(option) != s.tables["train"][key]


def _is_idle(key: str, s: Settings) -> bool:
    """Return whether nothing is lost if a key of the GUI is read by nothing."""
    if key.startswith("loraplus") and s.tables["train"][key]:  # the GUI gives it as network_args
        return key in str(s.given("train", "network_args"))
    length = ("max_train_epochs", "max_train_steps")
    return key != "epoch" or any(s.given("train", name) is not None for name in length)


def _other_release(table: str, key: str, where: Place, s: Settings) -> Problem | None:
    script = s.script if table == "train" else TOOLS.get(table, "dataset")
    if table == "train" and script not in KNOWN:
        return None
    tags = options.releases_with(script, key)
    if not tags:
        return None
    name, without = key, f"leave {key} out"
    if s.kind == "preset":
        name, without = f"{table}.{key}", f"--set {table}.{key}=unset"
    if releases.order(tags[0]) > releases.order(options.nearest_release(s.release)):
        message = f"{name} came with {tags[0]}, the checkout is {s.release}"
        # A config file's unknown keys are ignored; a dataset config's, and a tool's, stop it.
        if table == "train" and loose.is_usual(
            options.of(script, tags[0])[key], s.tables[table][key]
        ):
            told = f"{message}, which does the same without it"
            return Problem("option-too-new", "note", where, told)
        hint = f"Use --release {tags[0]} or newer, or {without}."
        return Problem("option-too-new", "error", where, message, hint)
    message = f"{name} is not in {s.release}; it is in {tags[0]} to {tags[-1]}"
    hint = f"Use --release {tags[-1]}, or {without}."
    return Problem("option-removed", "error", where, message, hint)


def _dataset_option(key: str, where: Place, s: Settings) -> Problem:
    hint = "Move it to the [dataset] table."
    stand_in = STAND_INS.get(key)
    if s.kind == "config" and stand_in and not _is_lost(stand_in, key, s):
        message = f"{key} is a dataset option: sd-scripts uses {stand_in} here"
        return Problem("dataset-option", "warning", where, message, f"Leave {key} out.")
    if s.kind == "config" and key == "batch_size":
        hint = f"Here it is {STAND_INS[key]}."
    elif s.kind == "config":
        hint = "Move it to the dataset config, the file for --dataset_config."
    return Problem("dataset-option", "error", where, f"{key} is a dataset option", hint)


def _elsewhere(
    table: str, key: str, s: Settings, meant: Meant | None
) -> tuple[str, Severity, str, str] | None:
    """Return code, severity, message and hint for an option of another table or script."""
    if table == "dataset" and key in options.of("sdxl_train.py"):
        hint = "Move it to the [train] table."
        if s.kind == "config":
            hint = "Move it to the training config, the file for --config_file."
        return "training-option", "error", f"{key} is a training option", hint
    scripts = options.SCRIPTS if s.kind == "preset" else KNOWN  # the tools read no config
    others = nearest_first(s.script, (one for one in scripts if key in options.of(one)))
    if not others:
        return None
    more = f" and {len(others) - SHOWN} other scripts" if len(others) > SHOWN else ""
    names = ", ".join(others[:SHOWN]) + more if more else listed(others)
    message = f"{key} is an option of {names}"
    tables = [f"[{name}]" for name, script in TOOLS.items() if script in others]
    if s.kind == "preset":
        hint = f"Move it to {' or '.join(tables)}." if tables else "Leave it out."
        return "other-script", "error", message, hint
    message = f"{key} is no option of {s.script}, which ignores it"
    value, usual = s.tables[table][key], options.of(others[0])[key].default
    if value in (False, "", [], None, usual):  # as the GUI writes what is not used
        return "other-script", "note", message, ""
    hint = meant.todo if meant else "Leave it out."
    if is_of_a_kind(s.script, others[0]):
        hint += f" If the file is for {others[0]}, add --script {others[0]}."
    return "other-script", "warning", message, hint
