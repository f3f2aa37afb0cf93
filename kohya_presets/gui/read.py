"""A file saved by the Kohya GUI as a preset, with a report on each of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.files import configs, other_tools
from kohya_presets.gui import by_options, keys, launcher, meaning, notes
from kohya_presets.gui import export as exporting
from kohya_presets.gui.imported import Imported, slug
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import (
    emitted,
    fields,
    newest_commits,
    saved_file,
    tables,
    values,
    words,
)
from kohya_presets.gui.versions.fields import Tab
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import recognize, scripts
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.sdscripts.options import Option

_MODELS: Mapping[str, str] = {box: box.removesuffix("_checkbox") for box in tables.MODELS}
_SPELLED = {"flux1": "flux"}  # models whose script is not named like their check box
_BESIDE = Path("dataset.toml")  # stands for the file beside an export


def json_file(data: bytes, name: str, additions: Additions) -> Imported:
    """Return the preset called `name` made from a saved file, or one in sd-scripts' own words.

    Raises:
        UserError: it is neither.
    """
    saved = saved_file.parse(data)
    kept = notes.read(saved.pop(notes.KEY, None))
    if other := other_tools.fault(saved):
        raise UserError(f"this file {other[0]}", hint=other[1])
    if saved_file.is_in_own_words(found := configs.flat(saved)):
        script = recognize.script(found).script
        read_as = f"a JSON file with sd-scripts' own options for {script}"
        return by_options.preset(found, name, script, additions, read_as=read_as)
    if kept is None or kept.tag not in fields.tags():
        return _fields(saved, name, None, additions)
    made = _fields(saved, name, kept.tag, additions)
    if kept.preset.script != made.preset.script:
        return made
    beside = _BESIDE if kept.data else None
    again = exporting.export(kept.preset, kept.tag, additions, dataset_config=beside)
    plain = {key: value for key, value in again.values.items() if key != notes.KEY}
    expected = _fields(plain, name, kept.tag, additions)
    whole, changed = notes.merged(made.preset, kept.preset, expected.preset)
    report = [*made.report, *(Item("note", key, "changed since the export") for key in changed)]
    report.append(Item("note", notes.KEY, "settings without a GUI field; they are used"))
    return replace(made, preset=whole, report=tuple(report))


def _fields(saved: Mapping[str, Any], name: str, tag: str | None, additions: Additions) -> Imported:
    """Return the import of the fields alone, without notes."""
    which = saved_file.tab(saved)
    script, report = _script(which, saved)
    model = scripts.TRAINERS[script].model if script in fields.TABS else "SDXL"
    tab = fields.tab(which, tag or saved_file.version(which, saved), model)
    read = _read(tab, saved)
    known = meaning.every(tab.script, additions)
    extra, lost = words.read(str(read.get("additional_parameters") or ""), known)
    sent = emitted.options(tab, _whole(tab, read), known)
    sent |= {**newest_commits.options(tab, saved, sent), **extra}
    settings = meaning.kept(_completed(sent, known), tab.script, tab.release, additions)
    report += [Item("dropped", f"additional_parameters {said}", why) for said, why in lost]
    report += [_of_word(key, value, settings.dropped.get(key)) for key, value in extra.items()]
    report += [Item("dropped", word, meaning.PLACE) for word in settings.words]
    report += keys.told(tab, saved, read, settings)
    preset = Preset(
        name=slug(name),
        title=name,
        summary=f"Imported from the {which} tab of Kohya GUI {tab.tag} or a similar version",
        script=script,
        releases=meaning.since(tab.script, settings.train, settings.dataset, additions),
        patches=meaning.patches(tab.script, settings.train, additions),
        train=settings.train,
        dataset=settings.dataset,
        run=launcher.run(read),
    )
    return Imported(preset, f"the {which} tab of Kohya GUI {tab.tag}", tuple(report))


def _of_word(key: str, value: Any, why: str | None) -> Item:
    """Return what became of an option in the additional parameters; `why` it was left out."""
    said = f"additional_parameters --{key}"
    if why and why != meaning.DEFAULT:
        return Item("dropped", said, why)
    return Item("converted", said, f"{key} = {value!r:.80}")


def _read(tab: Tab, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as the widgets see them; None where a value cannot be read."""
    older = _renewed(tab, saved)
    return {
        name: values.normal(field, older[name])
        for name, field in tab.fields.items()
        if older.get(name) is not None
    }


def _whole(tab: Tab, read: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values, with defaults for missing fields that decide over others."""
    usual = {
        name: tab.fields[name].default
        for name in ("noise_offset_type", "LoRA_type")
        if name in tab.fields
    }
    return usual | {name: value for name, value in read.items() if value is not None}


def _completed(found: dict[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    """Return the options, with those that every version sends: if missing, an export adds them."""
    if found.get("save_model_as") == "same as source model":
        del found["save_model_as"]  # a choice of the GUI's, which sd-scripts does not know
    rate = {"learning_rate": known["learning_rate"].default}  # a 0 is not sent by every version
    return {**tables.LEAST, **rate, **found}


def _script(which: str, saved: Mapping[str, Any]) -> tuple[str, list[Item]]:
    """Return the script that the file is for."""
    key = "sdxl_checkbox" if which == "finetune" else "sdxl"
    usual = next(script for script, tab in fields.TABS.items() if tab == which)
    ticked = next((model for box, model in _MODELS.items() if _is_on(saved.get(box))), None)
    network = "_network" if which == "lora" else ""
    if _is_on(saved.get(key)):
        return usual, []
    if ticked:
        script = f"{_SPELLED.get(ticked, ticked)}_train{network}.py"
    elif saved.get(key) is None and any(name.startswith("sdxl") for name in saved):
        return usual, [Item("note", "sdxl", "not in the file; SDXL is assumed: other keys name it")]
    else:
        script = "train_network.py" if network else "fine_tune.py"
        if key not in saved:
            why = "not in the file: saved by a GUI older than v21.8.0, which had no SDXL"
            return script, [Item("note", "sdxl", why)]
    if script in fields.TABS:
        return script, []
    why = f"off: the file is for {script}, but was read as for {usual}"
    return script, [Item("note", "sdxl", why)]


def _is_on(value: Any) -> bool:
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def _renewed(tab: Tab, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values, those of older keys under their names in this version too."""
    found = dict(saved)
    for old, new in tables.OLDER.items():
        if found.get(old) is not None and new in tab.fields:
            found.setdefault(new, found[old])
    if _is_on(saved.get("use_wandb")) and not saved.get("log_with"):
        found["log_with"] = "wandb"
    if not found.get("optimizer"):
        found["optimizer"] = "AdamW8bit" if _is_on(saved.get("use_8bit_adam")) else "AdamW"
    return found
