"""Check each setting by itself against sd-scripts' options: its name, its type, its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kohya_presets.sdscripts import options
from kohya_presets.sdscripts import patch_options
from kohya_presets.sdscripts import releases
from kohya_presets.toml import source as toml_source
from kohya_presets.toml import text as toml_text
from kohya_presets.sdscripts import scripts
from kohya_presets.sdscripts.options import TOOLS, Option
from kohya_presets.presets.preset import TABLES, Sheet, Table
from kohya_presets.problems import Place, Problem, did_you_mean, listed

if TYPE_CHECKING:  # `show` has no need of it
    from kohya_presets.training.settings import Settings

TRAINERS = tuple(scripts.EVERY)
SCRIPTS = TOOLS
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

    They are held against the newest release. Where `whole` is not set, part of [preset] could not
    be read or a parent is missing: an option that the unread part may have allowed is no fault.
    """
    script = header.get("script")
    if isinstance(script, str) and script not in TRAINERS:
        yield _unknown_script(sheets, script)
    known = {
        "train": _train(header, whole=whole),
        "dataset": options.dataset(),
        **{table: _tool(table, header) for table in SCRIPTS},
    }
    for sheet in sheets:
        for table, key, value in () if _jumbled(sheet) else sheet.settings():
            if key in PATHS:
                yield _path(key, sheet.source.place(table, key))
            else:
                yield from _setting(table, key, value, sheet.source.place, known[table])


def against(s: Settings) -> Iterator[Problem]:
    """Yield what is wrong with the settings of a preset for the release they are for."""
    for table, values in s.tables.items():
        for key, value in values.items():
            yield from option(s, table, key, value)


def option(s: Settings, table: str, key: str, value: Any) -> Iterator[Problem]:
    """Yield what is wrong with one setting for the release, script and patches of `s`."""
    yield from _setting(table, key, value, s.place, s.known(table), s)


def dataset_key(s: Settings, level: str, part: Table, key: str) -> Iterator[Problem]:
    """Yield what is wrong with one key of a part of a dataset file."""
    known, where = options.dataset(s.source), s.place
    if key in known and level not in known[key].levels:
        wanted = " or ".join(_level(name) for name in known[key].levels)
        message = f"{key} does not go into {_level(level)}"
        hint = f"Move it to {wanted}."
        yield Problem("wrong-level", "error", where("dataset", key), message, hint)
    elif key in known and level == "subset" and _subset(part) not in known[key].subsets:
        message = f"{key} is not for a subset of {_subset(part)}"
        yield Problem("wrong-level", "error", where("dataset", key), message)
    else:
        yield from _setting("dataset", key, part[key], where, known, s)


def missing(source: str, subset: Table, where: Place) -> Iterator[Problem]:
    """Yield the keys that a subset must have and has not."""
    kind = _subset(subset)
    for known in options.dataset(source).values():
        if kind in known.required and known.name not in subset:
            yield Problem("missing-key", "error", where, f"a subset needs {known.name}")


def _subset(part: Table) -> str:
    """Return what kind of subset it is, as sd-scripts tells them apart."""
    if "conditioning_data_dir" in part:
        return "conditioning"
    return "metadata" if "metadata_file" in part else "images"


def _level(name: str) -> str:
    return {"general": "[general]", "dataset": "[[datasets]]"}.get(name, "[[datasets.subsets]]")


def _jumbled(sheet: Sheet) -> bool:
    """Return whether a table stands twice: the keys of the second were read into another table."""
    twice = [p.where.key for p in sheet.source.problems if p.code == "duplicate-key"]
    return not set(twice).isdisjoint(TABLES)


def _train(header: Table, *, whole: bool) -> Mapping[str, Option]:
    """Return the options that [train] may have; those of all scripts where it is not known which.

    That is a fault of its own, and should not make a fault of every option.
    """
    script, patches = header.get("script"), header.get("patches", [] if whole else None)
    possible = [script] if script in TRAINERS else TRAINERS
    added = patch_options.of(patches if _listed(patches) else tuple(patch_options.PATCH_OPTIONS))
    return {k: v for table in (*map(options.of, possible), added) for k, v in table.items()}


def _tool(table: str, header: Table) -> Mapping[str, Option]:
    patches = header.get("patches", [])
    added = patch_options.of_tool(table, patches if _listed(patches) else ())
    return {**options.of(SCRIPTS[table]), **added}


def _listed(patches: Any) -> bool:
    return isinstance(patches, list) and all(isinstance(name, str) for name in patches)


def _unknown_script(sheets: Sequence[Sheet], script: str) -> Problem:
    says = next(sheet for sheet in sheets if sheet.header.get("script") == script)
    hint = did_you_mean(script, TRAINERS) or f"Known: {', '.join(TRAINERS)}."
    where = says.source.place("preset", "script")
    return Problem("unknown-script", "error", where, f"unknown script {script!r}", hint)


def _path(key: str, where: Place) -> Problem:
    hint = "Give it on the command line; presets hold no path of a machine."
    return Problem("path-in-preset", "error", where, f"{key} is set for each run", hint)


def _setting(
    table: str,
    key: str,
    value: Any,
    place: Callable[[str, str], Place],  # asked only where something is wrong
    known: Mapping[str, Option],
    s: Settings | None = None,
) -> Iterator[Problem]:
    if key not in known:
        yield _unknown(table, key, place(table, key), known, s)
    elif fault := options.check(known[key], value):
        yield _misfit(table, known[key], value, fault, place(table, key))
    elif fault := _unreadable(value):
        yield Problem("unreadable-value", "error", place(table, key), fault)


def _misfit(table: str, known: Option, value: Any, fault: str, where: Place) -> Problem:
    """Return the problem of a value that is not what the option takes."""
    if not options.check(known._replace(choices=()), value):
        newest = options.newest(known.name)  # keys of the dataset file have no choices
        later = newest.choices_since.get(str(value)) if newest else None
        hint = (
            f"It came with {later}." if later else did_you_mean(str(value), map(str, known.choices))
        )
        return Problem("wrong-choice", "error", where, fault, hint)
    hint = None
    if patch := patch_options.patch_that_takes(table, known.name, value):
        hint = f'With patches = ["{patch}"] in [preset], {known.name} may be that.'
    elif isinstance(value, str) and known.type != "strs":
        bare = {"True": "true", "False": "false"}.get(value, value)
        hint = f"Without quotes: {known.name} = {bare}" if _is_toml(bare) else None
    elif known.type == "str" and not isinstance(value, list | dict):
        hint = f'With quotes: {known.name} = "{value}"'
    elif known.type == "strs":
        hint = f'A list: {known.name} = ["{value}"]'
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
    table: str, key: str, where: Place, known: Mapping[str, Option], s: Settings | None
) -> Problem:
    """Return the problem of a name that is no option here, with the most telling reason."""
    bare = key.lower().replace("-", "_")
    message = f"unknown option {key!r}" + (f" in [{table}]" if not s or s.kind == "preset" else "")
    if s and (problem := _other_release(table, key, where, s)):
        return problem
    if table == "train" and (patch := patch_options.patch_with(key)):
        hint = f'Add patches = ["{patch}"] to [preset].'
        if s and s.kind == "config":
            hint = f"Without it sd-scripts ignores {key}: kohya-presets patch apply {patch}"
        return Problem(
            "missing-patch", "error", where, f"{key} comes with the patch {patch!r}", hint
        )
    if bare in known:
        return Problem("unknown-option", "error", where, message, f"Did you mean {bare!r}?")
    if found := _elsewhere(table, key):
        code, told, hint = found
        return Problem(code, "error", where, told, hint)
    return Problem("unknown-option", "error", where, message, did_you_mean(bare, known))


def _other_release(table: str, key: str, where: Place, s: Settings) -> Problem | None:
    script = s.script if table == "train" else TOOLS.get(table, "dataset")
    tags = options.releases_with(script, key)
    if not tags:
        return None
    name, without = key, "leave it out"
    if s.kind == "preset":
        name, without = f"{table}.{key}", f"--set {table}.{key}=unset"
    if releases.order(tags[0]) > releases.order(options.nearest_release(s.source)):
        message = f"{name} came with {tags[0]}, the checkout is {s.source}"
        hint = f"Use --release {tags[0]} or newer, or {without}."
        return Problem("option-too-new", "error", where, message, hint)
    message = f"{name} is not in {s.source}; it is in {tags[0]} to {tags[-1]}"
    hint = f"Use --release {tags[-1]}, or {without}."
    return Problem("option-removed", "error", where, message, hint)


def _elsewhere(table: str, key: str) -> tuple[str, str, str] | None:
    """Return code, message and hint for an option of another table or script."""
    if table == "train" and options.in_dataset(key):
        return "dataset-option", f"{key} is a dataset option", "Move it to the [dataset] table."
    if table == "dataset" and key in options.of("sdxl_train.py"):
        return "training-option", f"{key} is a training option", "Move it to the [train] table."
    others = [script for script in options.SCRIPTS if key in options.of(script)]
    if not others:
        return None
    message = f"{key} is an option of {listed(others)}"
    tables = [f"[{name}]" for name, script in TOOLS.items() if script in others]
    hint = f"Move it to {' or '.join(tables)}." if tables else "Leave it out."
    return "other-script", message, hint
